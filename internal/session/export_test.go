package session

// OutboxBytes is how much waits to be written.
func (c *Conn) OutboxBytes() int {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return len(c.out.buf)
}

// ExclusiveQueues is of how many exclusive queues the connection knows.
func (c *Conn) ExclusiveQueues() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.exclusive)
}

// Holders is of how many roles and vhosts the registry knows what they take.
func (r *Registry) Holders() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.usages)
}
