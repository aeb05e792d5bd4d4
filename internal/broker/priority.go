package broker

// Quorum queues have priorities always, as with RabbitMQ; usualPriority is that
// of a message that names none.
const (
	quorumPriorities = 32
	usualPriority    = 4
)

// prioritize gives a new queue lanes for priorities up to highest.
func (q *Queue) prioritize(highest uint8) {
	q.state.Prioritize(highest)
	q.lanes = make([]level, q.state.Lanes())
}

// rank is the priority that a message has in the queue.
func (q *Queue) rank(priority uint8, ranked bool) uint8 {
	if q.Quorum && !ranked {
		return usualPriority
	}
	return priority
}
