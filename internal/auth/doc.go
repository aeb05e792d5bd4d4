// Package auth holds what a credential is and what it allows: role keys, password hashes, the
// SASL responses that carry them, and RabbitMQ's three permission patterns.
//
// It is pure. It keeps no state, reads no clock and draws no random bytes of its own: the time and
// the source of randomness are arguments. Who exists and who is disabled is the business of
// package meta.
package auth
