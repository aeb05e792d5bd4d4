package session

import (
	"math/bits"
	"sync"
)

// pane is memory that a window is made of.
type pane struct{ buf []byte }

// panes are those that nobody uses, by size: windowMin bytes and its doubles.
type panes [windowSizes]sync.Pool

// windowSizes is how many doubles there are from windowMin to windowMax.
const windowSizes = 7

// paneIndex is the place of panes of a size, or -1.
func paneIndex(size int) int {
	if i := bits.Len(uint(size/windowMin)) - 1; i >= 0 && i < windowSizes && windowMin<<i == size {
		return i
	}
	return -1
}

// get returns a pane of a size, which is windowMin or a double of it.
func (p *panes) get(size int) *pane {
	if i := paneIndex(size); i >= 0 {
		if b, ok := p[i].Get().(*pane); ok {
			return b
		}
	}
	return &pane{make([]byte, size)}
}

// put takes back a pane that nobody uses; nil: there was none.
func (p *panes) put(b *pane) {
	if b == nil {
		return
	}
	if i := paneIndex(len(b.buf)); i >= 0 {
		p[i].Put(b)
	}
}

// hold gives the window memory.
func (w *window) hold(b *pane) { w.pane, w.buf, w.size = b, b.buf, len(b.buf) }

// give takes the window's memory; nil: it has none. The next is smaller when
// there was little in it.
func (w *window) give() *pane {
	b := w.pane
	if w.size > windowMin && w.last < w.size/4 {
		w.size /= 2
	}
	w.pane, w.buf = nil, nil
	return b
}
