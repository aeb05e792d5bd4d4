package queue

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/warrenmq/warren/internal/slab"
)

// TestLimits: the oldest waiting messages go; what is delivered or can be
// delivered at once does not count.
func TestLimits(t *testing.T) {
	three := int64(3)
	fill := func(s *State, fx *Effects, n int) {
		var w slab.Writer
		var batch []Message
		for range n {
			sl, off, _ := w.Alloc(16)
			batch = append(batch, Message{Slab: sl, Off: off, Size: 16, Persistent: true})
		}
		s.Publish(batch, 0, fx)
	}
	t.Run("messages", func(t *testing.T) {
		var fx Effects
		s := State{set: Settings{MaxMessages: &three}}
		fill(&s, &fx, 10)
		if s.Ready() != 3 || !slices.Equal(fx.Settled, []uint64{0, 1, 2, 3, 4, 5, 6}) {
			t.Fatalf("%d ready, dropped %v", s.Ready(), fx.Settled)
		}
		c := &Consumer{Prefetch: 2}
		s.Add(c, &fx)
		if ds := s.Take(c, 10, 1000, nil, &fx); len(ds) != 2 || ds[0].Seq != 7 {
			t.Fatalf("took %v", ds)
		}
		fill(&s, &fx, 3)
		if s.Ready() != 3 || s.Unacked() != 2 {
			t.Fatalf("%d ready, %d unacked", s.Ready(), s.Unacked())
		}
		s.Return(c, []uint64{7, 8}, false, 0, &fx)
		if s.Ready() != 3 || s.Unacked() != 0 {
			t.Fatalf("after a return %d ready", s.Ready())
		}
	})
	t.Run("a consumer that goes", func(t *testing.T) {
		var fx Effects
		s := State{set: Settings{MaxMessages: &three}}
		c, d := &Consumer{}, &Consumer{}
		s.Add(c, &fx)
		s.Add(d, &fx)
		fill(&s, &fx, 10)
		s.Remove(c, &fx)
		s.Remove(d, &fx)
		if s.Ready() != 3 {
			t.Fatalf("%d ready of what was promised to it", s.Ready())
		}
	})
	t.Run("in turn", func(t *testing.T) {
		var fx Effects
		one := int64(1)
		s := State{set: Settings{MaxMessages: &one, Refuse: true}}
		a, b := &Consumer{}, &Consumer{}
		s.Add(a, &fx)
		s.Add(b, &fx)
		for range 10 {
			fill(&s, &fx, 1)
		}
		if n, m := len(s.Take(a, 100, 1000, nil, &fx)), len(s.Take(b, 100, 1000, nil, &fx)); n != 5 || m != 5 {
			t.Fatalf("ten messages, one by one: %d and %d", n, m)
		}
	})
	t.Run("bytes", func(t *testing.T) {
		var fx Effects
		fifty := int64(50)
		s := State{set: Settings{MaxBytes: &fifty}}
		fill(&s, &fx, 10)
		if s.Ready() != 3 || s.ReadyBodyBytes() != 48 {
			t.Fatalf("%d ready, %d bytes", s.Ready(), s.ReadyBodyBytes())
		}
	})
	t.Run("a waiting consumer", func(t *testing.T) {
		var fx Effects
		s := State{set: Settings{MaxMessages: new(int64)}}
		c := &Consumer{NoAck: true}
		s.Add(c, &fx)
		fill(&s, &fx, 100)
		if ds := s.Take(c, 1000, 1<<20, nil, &fx); len(ds) != 100 {
			t.Fatalf("took %d of 100", len(ds))
		}
		fill(&s, &fx, 5) // it has not come back yet
		if ds := s.Take(c, 1000, 1<<20, nil, &fx); len(ds) != 5 {
			t.Fatalf("took %d of 5 that came while it was busy", len(ds))
		}
	})
}

// TestEachForItself: what comes together is taken as if each message came alone.
func TestEachForItself(t *testing.T) {
	batch := func(bodies int, messages ...Message) []Message {
		var w slab.Writer
		for i := range messages {
			sl, off, _ := w.Alloc(bodies)
			messages[i].Slab, messages[i].Off, messages[i].Size = sl, off, uint32(bodies)
		}
		return messages
	}
	two := int64(2)
	t.Run("what expires at once takes no room", func(t *testing.T) {
		var fx Effects
		s := State{set: Settings{MaxMessages: &two, Refuse: true}}
		s.Publish(batch(16, Message{}, Message{Deadline: 5}, Message{Deadline: 5}, Message{}, Message{}), 10, &fx)
		if s.Ready() != 2 || !slices.Equal(fx.Refused, []int{4}) {
			t.Fatalf("%d ready, refused %v", s.Ready(), fx.Refused)
		}
	})
	t.Run("the first in the order of priorities goes when there is one too many", func(t *testing.T) {
		var fx Effects
		s := State{set: Settings{MaxMessages: &two, DeadLetters: true}}
		s.Prioritize(1)
		s.Publish(batch(16, Message{}, Message{}, Message{}, Message{Priority: 1}), 0, &fx)
		var dead []uint64
		for _, d := range fx.Dead {
			dead = append(dead, d.Seq>>LaneShift)
		}
		if !slices.Equal(dead, []uint64{1, 0}) {
			t.Fatalf("dead letters of lanes %v", dead)
		}
	})
	t.Run("what a consumer is promised takes no bytes", func(t *testing.T) {
		for _, refuse := range []bool{true, false} {
			var fx Effects
			forty := int64(40)
			s := State{set: Settings{MaxBytes: &forty, Refuse: refuse}}
			c := &Consumer{Prefetch: 2}
			s.Add(c, &fx)
			s.Publish(batch(16, Message{}, Message{}, Message{}, Message{}), 0, &fx)
			if s.Ready() != 4 || len(fx.Refused) > 0 {
				t.Fatalf("%d ready, refused %v", s.Ready(), fx.Refused)
			}
			if ds := s.Take(c, 10, 1000, nil, &fx); len(ds) != 2 || ds[0].Seq != 0 || s.promised != 0 {
				t.Fatalf("took %v, %d bytes promised", ds, s.promised)
			}
		}
	})
	t.Run("a consumer that has got room and has not come yet", func(t *testing.T) {
		var fx Effects
		s := State{set: Settings{MaxMessages: &two}}
		c := &Consumer{Prefetch: 1}
		s.Add(c, &fx)
		s.Publish(batch(16, Message{}, Message{}, Message{}), 0, &fx)
		first := s.Take(c, 10, 1000, nil, &fx)
		s.Take(c, 10, 1000, nil, &fx)
		s.Settle(c, []uint64{first[0].Seq}, &fx)
		s.Publish(batch(16, Message{}), 0, &fx)
		if ds := s.Take(c, 10, 1000, nil, &fx); s.Ready() != 2 || len(ds) != 1 || ds[0].Seq != 1 {
			t.Fatalf("took %v, %d ready", ds, s.Ready())
		}
	})
}

// TestStuckConsumer: a consumer that does not come does not keep a queue from
// refusing, and one that waits gets what comes all the same.
func TestStuckConsumer(t *testing.T) {
	for name, size := range map[string]int{"small": 20, "large": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			var fx Effects
			var w slab.Writer
			ten := int64(10)
			s := State{set: Settings{MaxMessages: &ten, Refuse: true}}
			stuck := &Consumer{NoAck: true}
			s.Add(stuck, &fx)
			m := sized(&w, 100+size, 0)
			binary.BigEndian.PutUint64(m.Slab.Bytes(m.Off, m.Size)[14:], uint64(size))
			refused := 0
			publish := func(n int) {
				for range n {
					fx.Reset()
					s.Publish([]Message{m}, 0, &fx)
					refused += len(fx.Refused)
				}
			}
			most := min(offerMax, offerBytes/size)
			for range 5 {
				publish(4000)
				s.Tick(&fx)
			}
			if n := s.Ready(); n > most+10 || n < most || refused != 20_000-n {
				t.Fatalf("%d ready of 20000, %d are refused", n, refused)
			}
			other := &Consumer{NoAck: true}
			s.Add(other, &fx)
			for len(s.Take(other, 1000, 1<<30, nil, &fx)) > 0 {
				continue
			}
			refused = 0
			publish(1)
			if ds := s.Take(other, 10, 1<<30, nil, &fx); len(ds) != 1 || refused != 0 {
				t.Fatalf("who waits got %d, %d are refused", len(ds), refused)
			}
		})
	}
}
