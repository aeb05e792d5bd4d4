// Package bench is the load generator behind `warren bench`. It speaks to any AMQP 0-9-1 broker and
// knows nothing of Warren but the codec.
//
// A generator must not be what is measured, so publishes are encoded once and written many at a
// time, deliveries are counted in the bytes of large reads without a copy or an allocation, and
// counters are touched once a read or write, never once a message. Each producer and each consumer
// has its own connection and channel.
//
// A latency is counted from the moment at which the message was due, not from the one at which it
// was sent: a broker that holds the sender back cannot make its own figures better.
package bench
