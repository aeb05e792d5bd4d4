package meta

import (
	"errors"
	"sync"
)

// Gathered are changes that wait to be written together: while one append is synced others come,
// and they become the next one. They are changes that do not depend on one another, so each is
// checked against the state as it is before all of them. One of those that wait writes for all.
type gathered struct {
	mu   sync.Mutex
	list []*gathering
	led  bool // Somebody writes.
}

// Gathering is one of them.
type gathering struct {
	of   subjectName
	plan func(ahead int) (Record, error) // Ahead is how many changes of its batch it cannot see.

	done bool // Of its writer.
	err  error
	turn chan bool // Told once: true, that it is done; false, that it is to write.
}

// SubjectName tells changes apart that may be in one batch.
type subjectName struct {
	vhost VhostRef
	name  string
}

// ErrLater is how a plan asks to be the first of a batch.
var errLater = errors.New("later")

// Add enters a change and reports whether it is to write.
func (g *gathered) add(r *gathering) (lead bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list = append(g.list, r)
	lead = !g.led
	g.led = true
	return lead
}

// Next lets the oldest change that waits write.
func (g *gathered) next() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.led = len(g.list) > 0; g.led {
		g.list[0].turn <- false
	}
}

// Take removes the next batch: the oldest change, and those that are about something else than all
// before them.
func (g *gathered) take() []*gathering {
	g.mu.Lock()
	defer g.mu.Unlock()
	var batch, rest []*gathering
	seen := make(map[subjectName]bool, len(g.list))
	for _, r := range g.list {
		if seen[r.of] {
			rest = append(rest, r)
		} else {
			batch = append(batch, r)
		}
		seen[r.of] = true
	}
	g.list = rest
	return batch
}

// Back puts changes before those that came since.
func (g *gathered) back(list []*gathering) {
	if len(list) == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list = append(list, g.list...)
}

// MutateQueue is mutate for a change that nothing but the definition of a queue depends on and that
// nobody watches. It is written together with others of its kind.
func (s *Store) mutateQueue(ref VhostRef, name string, plan func(ahead int) (Record, error)) error {
	r := &gathering{of: subjectName{ref, name}, plan: plan, turn: make(chan bool, 1)}
	if s.gathered.add(r) || !<-r.turn {
		s.write.Lock()
		batch := s.gathered.take() // R is the oldest.
		s.commitTogether(batch)
		s.write.Unlock()
		s.gathered.next()
		for _, other := range batch {
			if other != r && other.done {
				other.turn <- true
			}
		}
	}
	if errors.Is(r.err, errUnchanged) {
		return nil
	}
	return r.err
}

// CommitTogether is called with write held.
func (s *Store) commitTogether(batch []*gathering) {
	var text []byte
	var list []*gathering
	var records []Record
	var later []*gathering
	for _, r := range batch {
		line, record, err := s.prepare(func() (Record, error) { return r.plan(len(list)) })
		switch {
		case errors.Is(err, errLater):
			later = append(later, r)
			continue
		case err != nil:
			r.done, r.err = true, err
			continue
		case len(list) > 0:
			text = append(text, '\n')
		}
		text, list, records = append(text, line...), append(list, r), append(records, record)
	}
	s.gathered.back(later)
	if len(list) == 0 {
		return
	}
	_, err := s.put(text, records)
	for _, r := range list {
		r.done, r.err = true, err
	}
}
