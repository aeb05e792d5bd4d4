// Package meta keeps the definitions of an installation: clusters, vhosts, roles and users,
// permissions, and the durable exchanges, queues and bindings.
//
// [State] is a deterministic state machine: the same [Record] values in the same order give the
// same state, on this node, after a restart and on every other node. It reads no clock and draws
// nothing at random; ids, times and secrets are in the records. [Store] is the shell around it: it
// validates, appends to a [Log], applies, and tells watchers.
//
//	mutator → validate → Record → Log.Append (durable) → State.Apply → Change → watchers
//
// What is applied is always what was decoded from the very bytes that were appended, so a running
// node and one that replays cannot differ.
package meta

import "errors"

// The kinds of refusal. Every error of a mutator wraps one of them, or [ErrFenced] or [ErrFull], and says in a
// sentence what to do.
var (
	// ErrNotFound says that something named does not exist.
	ErrNotFound = errors.New("not found")
	// ErrExists says that something with this name or number exists already.
	ErrExists = errors.New("already exists")
	// ErrInUse says that something cannot go because something else needs it.
	ErrInUse = errors.New("in use")
	// ErrProtected says that something was declared not to be deleted.
	ErrProtected = errors.New("protected")
	// ErrInvalid says that an argument breaks a rule or a limit.
	ErrInvalid = errors.New("invalid")
	// ErrFenced says that an append to the log failed. Whether that record is durable is not
	// known, so nothing can be changed until the log was opened and replayed anew.
	ErrFenced = errors.New("definitions are read-only after a failed write; restart the node")
	// ErrFull says that there was no space to record the change. Nothing has changed.
	ErrFull = errors.New("no disk space for a definition; free some and try again")
)
