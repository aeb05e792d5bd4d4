// Package crash proves, on the real process, that nothing confirmed is ever
// lost: it builds the binary, loads it with amqp091-go and pika, kills it in
// every way that the machine allows, starts it again on the same directory,
// and compares what is there with a ledger of what the clients were told.
//
// It has no code of its own: see its tests and README.md.
package crash
