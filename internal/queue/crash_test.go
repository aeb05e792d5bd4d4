package queue

import (
	"encoding/binary"
	"maps"
	"slices"

	"pgregory.net/rapid"
)

// crash lets the queue begin again with what the log knows: its persistent
// messages, all of them ready, and how often they came back. Its consumers are
// gone.
func (x *machine) crash(t *rapid.T) {
	*x.crashes++
	for _, c := range x.consumers {
		c.gone = true
	}
	clear(x.woken)
	clear(x.held)
	x.fx.Reset()
	x.load, x.frozen = false, 0
	x.m.back = nil
	for seq, st := range x.m.state {
		switch {
		case !x.m.pers[seq]:
			delete(x.m.state, seq)
		case st == stateUnacked:
			x.m.state[seq], x.m.redel[seq] = stateReady, true
		}
	}
	set := x.s.set
	x.s = State{}
	if x.lanes > 0 {
		x.s.Prioritize(uint8(x.lanes))
	}
	x.s.Configure(set)
	ends := make([]uint64, 0, len(x.m.last))
	for lane := range maps.Keys(x.m.last) {
		ends = append(ends, x.m.last[lane]+1)
	}
	slices.Sort(ends)
	x.m.all = slices.DeleteFunc(x.m.all, func(seq uint64) bool { // numbers of transient messages come again
		last, ok := x.m.last[seq>>LaneShift]
		if ok && seq <= last {
			return false
		}
		delete(x.m.redel, seq)
		delete(x.m.tries, seq)
		return true
	})
	if x.lanes == 0 {
		x.m.next = 0
		if last, ok := x.m.last[0]; ok {
			x.m.next = last + 1
		}
	}
	tries := map[uint64]Tries{}
	for seq := range x.m.state {
		x.m.tries[seq] = x.m.logged[seq]
		if n, ok := x.m.logged[seq]; ok {
			tries[seq] = n
		}
	}
	x.s.Restore(x.runs(t), ends)
	x.s.RestoreTries(tries)
}

// runs are the messages as recovery finds them.
func (x *machine) runs(t *rapid.T) (runs []Cold) {
	most := rapid.IntRange(1, 12).Draw(t, "run")
	var r *Cold
	for _, seq := range x.m.ready() {
		if r == nil || len(r.Seqs) == most || seq-r.Seqs[0] >= MaxRun {
			runs = append(runs, Cold{Where: &elsewhere{}})
			r = &runs[len(runs)-1]
		}
		sl, off, b := x.w.Alloc(16)
		binary.BigEndian.PutUint64(b, seq)
		e, _ := r.Where.(*elsewhere)
		e.kept = append(e.kept, Kept{Seq: seq, Redelivered: x.m.redel[seq], Message: Message{
			Slab: sl, Off: off, Size: 16, RouteLen: 2, Persistent: true, Deadline: x.m.until[seq],
		}})
		r.Seqs = append(r.Seqs, seq)
		r.Bytes += 16
		r.BodyBytes += 16
		r.PersistentBytes += 16 + LogOverhead
		r.Expires(x.m.until[seq])
	}
	x.frozen = len(runs)
	return runs
}
