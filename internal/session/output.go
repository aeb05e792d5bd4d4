package session

import (
	"encoding/binary"
	"errors"
	"syscall"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/rawio"
)

// borrowMin is from how many bytes on the body of a frame is written from where
// it lies, instead of being copied: with less, a copy costs less than a place
// in the list.
const borrowMin = 4 << 10

// vecMax is how many places a list has at most (IOV_MAX).
const vecMax = 1024

// output is what a write takes: bytes of its own, and bodies of messages that
// are written from where they lie.
type output struct {
	buf      []byte
	borrowed []borrowed
	extra    int // bytes of borrowed
	done     int // bytes that are written

	push func(fd uintptr) bool // send, made once
	vec  []syscall.Iovec       // of send
	stay bool                  // send waits for the socket
	err  error                 // of send
}

// borrowed is bytes that come before buf[at].
type borrowed struct {
	at int
	b  []byte
}

func (o *output) size() int { return len(o.buf) + o.extra }

func (o *output) left() int { return o.size() - o.done }

// clear lets go of what is written.
func (o *output) clear() {
	clear(o.borrowed)
	clear(o.vec)
	o.buf, o.borrowed, o.extra, o.done = o.buf[:0], o.borrowed[:0], 0, 0
}

// appendContent is appendContent that borrows large bodies.
func (o *output) appendContent(frames []byte, ch uint16, frameMax uint32) {
	if !fits(frames, frameMax) {
		o.buf = splitContent(o.buf, frames, ch, frameMax)
		return
	}
	for len(frames) > 0 {
		n := int(binary.BigEndian.Uint32(frames[3:])) + amqp.FrameOverhead
		at := len(o.buf)
		if n-amqp.FrameOverhead < borrowMin {
			o.buf = append(o.buf, frames[:n]...)
		} else {
			o.buf = append(o.buf, frames[:7]...)
			o.borrowed = append(o.borrowed, borrowed{len(o.buf), frames[7:n:n]})
			o.extra += n - 7
		}
		binary.BigEndian.PutUint16(o.buf[at+1:], ch)
		frames = frames[n:]
	}
}

// fits reports whether all frames are small enough for a client.
func fits(frames []byte, frameMax uint32) bool {
	for len(frames) > 0 {
		size := binary.BigEndian.Uint32(frames[3:])
		if size > frameMax-amqp.FrameOverhead {
			return false
		}
		frames = frames[size+amqp.FrameOverhead:]
	}
	return true
}

// write writes what is left and returns how much of it: without stay what the
// socket takes at once.
func (c *Conn) write(o *output, stay bool) (int, error) {
	if c.raw == nil {
		n, err := c.nc.Write(o.buf[o.done:]) // nothing is borrowed
		o.done += n
		return n, err
	}
	if o.push == nil {
		o.push = o.send
	}
	begun := o.done
	o.stay, o.err = stay, nil
	if err := c.raw.Write(o.push); err != nil {
		return o.done - begun, err
	}
	return o.done - begun, o.err
}

// send writes to a socket; false: when it is writable again.
func (o *output) send(fd uintptr) bool {
	for o.left() > 0 {
		n, err := o.sendOnce(fd)
		o.done += n
		if errors.Is(err, syscall.EAGAIN) {
			return !o.stay
		}
		if err != nil {
			o.err = err
			return true
		}
	}
	return true
}

func (o *output) sendOnce(fd uintptr) (int, error) {
	if len(o.borrowed) == 0 {
		return rawio.Write(fd, o.buf[o.done:])
	}
	o.vec = o.vec[:0]
	skip, at := o.done, 0
	add := func(b []byte) {
		if skip >= len(b) {
			skip -= len(b)
			return
		}
		if len(o.vec) < vecMax {
			o.vec = append(o.vec, rawio.Iovec(b[skip:]))
		}
		skip = 0
	}
	for _, r := range o.borrowed {
		add(o.buf[at:r.at])
		add(r.b)
		at = r.at
	}
	add(o.buf[at:])
	return rawio.Writev(fd, o.vec)
}
