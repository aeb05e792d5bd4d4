package session

// ExclusiveQueues is of how many exclusive queues the connection knows.
func (c *Conn) ExclusiveQueues() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.exclusive)
}
