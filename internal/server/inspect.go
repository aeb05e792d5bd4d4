package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/storage"
	"github.com/warrenmq/warren/internal/vfs"
)

// Inspection is what is in the data directory of a stopped node.
type Inspection struct {
	*storage.Inspection

	// Clusters, Vhosts, Roles are how many the definitions have.
	Clusters, Vhosts, Roles int
	// Queues are those of the definitions, by number, then those that the
	// journal has messages of and the definitions do not know.
	Queues []InspectedQueue
}

// InspectedQueue is one queue in a data directory.
type InspectedQueue struct {
	storage.QueueReport

	UID                  uint64
	Cluster, Vhost, Name string
	// Deleted says that the definitions do not know it: what is left of its
	// messages goes with the segments it lies in.
	Deleted bool
}

// Inspect looks into the data directory of a stopped node and changes nothing.
func Inspect(dir string) (_ *Inspection, err error) {
	lock, err := stopped(dir)
	if err != nil {
		return nil, err
	}
	if lock != nil {
		defer func() { err = errors.Join(err, lock.Unlock()) }()
	}
	found, err := storage.Inspect(vfs.Disk{}, filepath.ToSlash(dir))
	if err != nil {
		return nil, err
	}
	i := &Inspection{Inspection: found}
	return i, i.resolve()
}

// Repair makes a damaged data directory one that a node starts from, and
// returns the names of the files that it has set aside.
func Repair(dir string) (aside []string, err error) {
	lock, err := LockDir(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	found, err := storage.Inspect(vfs.Disk{}, filepath.ToSlash(dir))
	if err != nil {
		return nil, err
	}
	return found.Repair(rand.Reader)
}

// stopped locks a directory that no node runs on, without making a file: nil
// when there is nothing to lock, as in a copy.
func stopped(dir string) (*Lock, error) {
	if _, err := os.Stat(filepath.Join(dir, "lock")); errors.Is(err, fs.ErrNotExist) {
		if _, err = os.Stat(dir); err != nil {
			return nil, fmt.Errorf("the data directory %s cannot be read: %w", dir, err)
		}
		return nil, nil //nolint:nilnil // see above
	}
	return LockDir(dir)
}

// resolve names the queues by the definitions, as far as they can be read.
func (i *Inspection) resolve() error {
	left := i.Inspection.Queues
	if len(i.Definitions.Records) > 0 {
		store, err := meta.Open(meta.Options{Log: records(i.Definitions.Records), Now: time.Now, Rand: rand.Reader}) //nolint:forbidigo // meta wants a clock
		if err != nil {
			i.Definitions.Err = errors.Join(i.Definitions.Err, err)
			return nil
		}
		for _, c := range store.Clusters() {
			if err := i.cluster(store, c.ID); err != nil {
				return err
			}
		}
	}
	for n := range i.Queues {
		delete(left, i.Queues[n].UID)
	}
	for uid, r := range left {
		if r.Messages > 0 {
			i.Queues = append(i.Queues, InspectedQueue{QueueReport: r, UID: uid, Deleted: true})
		}
	}
	slices.SortFunc(i.Queues, func(a, b InspectedQueue) int { return int(a.UID) - int(b.UID) }) //nolint:gosec // few
	return nil
}

func (i *Inspection) cluster(store *meta.Store, id string) error {
	i.Clusters++
	roles, err := store.Roles(id)
	if err != nil {
		return err
	}
	i.Roles += len(roles)
	vhosts, err := store.Vhosts(id)
	if err != nil {
		return err
	}
	for _, v := range vhosts {
		i.Vhosts++
		queues, err := store.Queues(v.Ref())
		if err != nil {
			return err
		}
		for _, q := range queues {
			i.Queues = append(i.Queues, InspectedQueue{
				QueueReport: i.Inspection.Queues[q.UID], UID: q.UID, Cluster: id, Vhost: v.Name, Name: q.Name,
			})
		}
	}
	return nil
}

// records is a log of definitions that cannot be written to.
type records [][]byte

// Append implements meta.Log.
func (records) Append([]byte) error { return errors.New("the definitions are only looked at") }

// Replay implements meta.Log.
func (r records) Replay(f func(record []byte) error) error {
	for _, record := range r {
		if len(record) > 0 {
			if err := f(record); err != nil {
				return err
			}
		}
	}
	return nil
}
