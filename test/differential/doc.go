// Package differential plays the same random scripts against Warren and
// against a RabbitMQ, and compares everything that comes back: replies, close
// codes and texts, class and method ids, contents with their properties and
// headers, order, counts.
//
// It has no code of its own: see its tests and README.md.
package differential
