// Package amqp is the wire format of AMQP 0-9-1 with RabbitMQ's extensions: frames, methods, field
// tables, content headers and reply codes. It knows no broker, no connection and no socket: bytes
// in, values out.
//
// # Shape
//
// What is parsed aliases the bytes it was parsed from: a [Frame]'s payload, a longstr of a
// [Method], a [PropertyView], a [RawTable] and a [RawValue] stay valid only as long as those bytes
// are left alone. What is decoded into a string, a [Table] or a [Properties] is a copy. Every
// encoder is an append function that returns the longer slice.
//
// The hot path allocates nothing: [ParseFrame], [SplitMethod], [ParsePublish], [ParseHeader],
// [ScanProperties], [RawTable.Validate], [RawTable.Lookup] and the Append functions for
// acknowledgements, heartbeats and bodies.
//
// # Errors
//
// Breaking the rules of framing yields an [*Error], which says which Close method answers it.
// A decoder yields an error that wraps one of the sentinels ([ErrTruncated] and its neighbours);
// [DecodeError] turns it into the [*Error] to send. No input makes this package panic.
//
// # Limits
//
//	what                          limit                   refused with
//	frame payload                 the negotiated size     501 frame_too_large (*Error)
//	short string (shortstr)       255 bytes               ErrShortString; cut by Append
//	nesting of tables and arrays  MaxTableDepth, 2048     ErrTableTooDeep
//	fields and array elements     MaxTableEntries, 65536  ErrTableTooLarge
//	reply text                    255 bytes               cut, ending in "..."
//	ErlangBinary                  255 bytes               cut, ending in "..."
//
// The limits on tables are ours: RabbitMQ has none. The depth counts the table
// itself, the entries those of all levels together. They bound what a decoder spends on one frame
// to about 32 bytes of memory for each entry, whatever the frame claims.
package amqp

//go:generate go run ./internal/gen -spec ../spec/amqp0-9-1.json -out .
