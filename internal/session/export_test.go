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

// Slowly is the writer at work for once: before comes before it takes what there is, and between comes before it
// takes messages for the consumers that are woken.
func (c *Conn) Slowly(before, between func()) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	before()
	c.w.buf, c.w.runnable = c.out.take(c.w.buf, c.w.runnable)
	c.w.again = append(c.w.again, c.w.runnable...)
	between()
	c.w.again = c.pull(&c.w, c.w.again)
	c.drain(&c.w)
}

// Woken is how many consumers wait to be served.
func (c *Conn) Woken() int {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return len(c.out.runnable)
}
