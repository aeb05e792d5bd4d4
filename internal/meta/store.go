package meta

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Options is what a [Store] is made of. Log, Now and Rand are required.
type Options struct {
	Log    Log
	Now    func() time.Time // The clock, safe for concurrent use.
	Rand   io.Reader        // Where ids, secrets and salts are drawn from: crypto/rand.Reader.
	Logger *slog.Logger     // Nil: nothing is logged.
	Failed func(error)      // Told once that no definition can change any more. Nil: nobody is.
}

// Store is the definitions of an installation, durable and safe for concurrent use.
//
// Mutators run one at a time and return when their record is durable, is applied and all watchers
// were told; those of queues, of which there may be many at once, share an append. Readers never wait for the log. What readers return is the caller's, but slices and
// tables inside it are shared and must not be changed.
//
// An empty cluster id means the default cluster, in every argument.
type Store struct {
	now    func() time.Time
	rand   *lockedReader
	logger *slog.Logger
	failed func(error)

	// Lock order: write, then mu or telling. A mutator holds write from its first look at the state
	// until it holds telling, so that changes are told in the order of the log; it holds mu only
	// while it applies.
	write    sync.Mutex
	log      Log   // Guarded by write.
	fenced   error // Guarded by write: the first failed append.
	gathered gathered

	mu    sync.RWMutex
	state *State // Changed under write and mu; read under either.

	defaultCluster string // Id; never changes after Open.

	telling  sync.Mutex
	watchers watchers

	uid    atomic.Uint64 // Last number handed out.
	logins logins
	rights rightsCache
}

// Open replays the log and gives the store that continues it. To an empty log it first writes, in
// one record, the default cluster with the vhost "/" and the administrator guest, password guest,
// who has all rights on it.
func Open(o Options) (*Store, error) {
	if o.Log == nil || o.Now == nil || o.Rand == nil {
		return nil, errors.New("open definitions: a log, a clock and a source of randomness are required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Failed == nil {
		o.Failed = func(error) {}
	}
	s := &Store{
		now: o.Now, rand: &lockedReader{reader: o.Rand}, logger: o.Logger, failed: o.Failed, log: o.Log, state: NewState(),
	}
	if err := s.logins.init(s.rand); err != nil {
		return nil, fmt.Errorf("open definitions: %w", err)
	}
	position := 0
	err := s.log.Replay(func(record []byte) error {
		position++
		return s.state.applyLines(record)
	})
	if err != nil {
		return nil, fmt.Errorf("open definitions: record %d of the log: %w", position, err)
	}
	if s.state.applied == 0 {
		if err := s.seed(); err != nil {
			return nil, fmt.Errorf("open definitions: write the first record: %w", err)
		}
	}
	if s.state.defaultCluster == "" {
		return nil, errors.New("open definitions: the log makes no default cluster, so it is not a whole log")
	}
	if err := s.snapshot(); err != nil {
		return nil, fmt.Errorf("open definitions: %w", err)
	}
	s.defaultCluster = s.state.defaultCluster
	s.uid.Store(s.state.lastUID)
	s.logger.Info("definitions are ready", slog.Uint64("records", s.state.applied), slog.Int("clusters", len(s.state.clusters)))
	return s, nil
}

// GuestHash is the password guest: everybody knows it, so its hash need not be made anew, which
// takes longer than all else at the first start.
const guestHash = "$argon2id$v=19$m=19456,t=2,p=1$/hjkxN0BkAM3POfe3rrQLg$FT+Zbrsdd7qAq+RV6GKkbjTDrdVjzBj2N6gSibAOSKM"

// Seed writes what an empty installation begins with as one record: half of it would lock
// everybody out.
func (s *Store) seed() error {
	const user = "guest"
	now := s.moment()
	cluster, err := s.newCluster("default", "")
	if err != nil {
		return err
	}
	cluster.Default = true
	ref := VhostRef{Cluster: cluster.ID, Name: "/"}
	record, err := appendLines(nil,
		cluster,
		Vhost{Cluster: cluster.ID, Name: ref.Name, UID: 1, Description: "Default virtual host", Created: now},
		Role{Cluster: cluster.ID, Name: user, Tags: []string{"administrator"}, PasswordHash: guestHash, Created: now, Updated: now},
		Permission{Vhost: ref, Role: user, Configure: ".*", Write: ".*", Read: ".*"},
	)
	if err != nil {
		return err
	}
	if err := NewState().applyLines(record); err != nil { // The trial, before anything is durable.
		return err
	}
	if err := s.log.Append(record); err != nil {
		return err
	}
	return s.state.applyLines(record)
}

func appendLines(dst []byte, subjects ...Subject) ([]byte, error) {
	for i, subject := range subjects {
		if i > 0 {
			dst = append(dst, '\n')
		}
		var err error
		if dst, err = AppendRecord(dst, Record{Op: OpPut, Subject: subject}); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// Watch has f called with every change that is applied after the call. It is called by the mutator,
// after the change is in force and outside the store's lock, one call at a time and in the order of
// the log: f may read from the store, but must not call a mutator and should be quick. A call that
// is under way when cancel is called goes on.
func (s *Store) Watch(f func(Change)) (cancel func()) { return s.watchers.add(f) }

// NextUID gives a number that no other vhost or queue has. It becomes permanent with the record of
// the vhost or queue that carries it: a number that was handed out and put into no record may come
// again after a restart, so use it for nothing that outlives the process before the put.
func (s *Store) NextUID() uint64 { return s.uid.Add(1) }

// Unchanged is how a mutator's plan says that everything is already as wanted.
var errUnchanged = errors.New("unchanged")

// Mutate runs one mutator: plan validates against the state and says what to write.
func (s *Store) mutate(plan func() (Record, error)) error {
	s.write.Lock()
	changes, err := s.commit(plan)
	s.telling.Lock()
	s.write.Unlock()
	defer s.telling.Unlock()
	s.watchers.tell(changes)
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

// Commit is called with write held.
func (s *Store) commit(plan func() (Record, error)) ([]Change, error) {
	text, record, err := s.prepare(plan)
	if err != nil {
		return nil, err
	}
	return s.put(text, []Record{record})
}

// Prepare makes a record and checks it. It is called with write held.
func (s *Store) prepare(plan func() (Record, error)) (text []byte, record Record, err error) {
	if s.fenced != nil {
		return nil, record, fmt.Errorf("%w: %w", ErrFenced, s.fenced)
	}
	planned, err := plan()
	if err != nil {
		return nil, record, err
	}
	if text, err = AppendRecord(nil, planned); err != nil {
		return nil, record, err
	}
	// From here on only what the bytes say counts, as it will after a restart.
	if record, err = DecodeRecord(text); err != nil {
		return nil, record, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return text, record, s.state.check(record)
}

// Put makes records durable, which stand or fall together, and applies them. It is called with
// write held.
func (s *Store) put(text []byte, records []Record) (changes []Change, err error) {
	if err := s.log.Append(text); err != nil {
		if full(err) {
			return nil, fmt.Errorf("%w: %w", ErrFull, err)
		}
		s.fence(err)
		return nil, fmt.Errorf("%w: %w", ErrFenced, err)
	}
	s.mu.Lock()
	for _, record := range records {
		var more []Change
		if more, err = s.state.Apply(record); err != nil {
			break
		}
		changes = append(changes, more...)
	}
	s.RaiseUID(s.state.lastUID)
	s.mu.Unlock()
	if err == nil {
		if err := s.snapshot(); err != nil && !full(err) { // The change itself is in force and durable.
			s.fence(err)
		}
	}
	return changes, err
}

// Full reports an error that left the log as it was.
func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// Fence lets nothing change any more, since it is not known what the log has. It is called with
// write held.
func (s *Store) fence(err error) {
	s.fenced = err
	s.logger.Error("a definition could not be written; no definition can change until a restart", slog.Any("error", err))
	s.failed(fmt.Errorf("%w: %w", ErrFenced, err))
}

// Snapshot begins the log anew when that is worth its while. It is called with write held.
func (s *Store) snapshot() error {
	log, ok := s.log.(Snapshotter)
	if !ok || !log.Grown() {
		return nil
	}
	var text []byte
	for r := range s.state.Records() {
		var err error
		if len(text) > 0 {
			text = append(text, '\n')
		}
		if text, err = AppendRecord(text, r); err != nil {
			return err
		}
	}
	return log.Snapshot(text)
}

// RaiseUID keeps NextUID ahead of a number that is in use somewhere.
func (s *Store) RaiseUID(uid uint64) {
	for {
		last := s.uid.Load()
		if last >= uid || s.uid.CompareAndSwap(last, uid) {
			return
		}
	}
}

// ClusterID is the id that an argument means, where empty means the default cluster.
func (s *Store) clusterID(id string) string {
	if id == "" {
		return s.defaultCluster
	}
	return id
}

func (s *Store) resolve(ref VhostRef) VhostRef {
	return VhostRef{Cluster: s.clusterID(ref.Cluster), Name: ref.Name}
}

// Moment is the time as records keep it.
func (s *Store) moment() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// RandomText draws n lower-case letters and digits, all equally likely.
func (s *Store) randomText(n int) (string, error) {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	const fair = 256 - 256%len(alphabet) // Bytes from here on would favour the first letters.
	text := make([]byte, 0, n)
	drawn := make([]byte, 2*n)
	for range 8 {
		if _, err := io.ReadFull(s.rand, drawn); err != nil {
			return "", fmt.Errorf("draw a random id: %w", err)
		}
		for _, b := range drawn {
			if int(b) < fair && len(text) < n {
				text = append(text, alphabet[int(b)%len(alphabet)])
			}
		}
		if len(text) == n {
			return string(text), nil
		}
	}
	return "", errors.New("draw a random id: the source of randomness is not random")
}

func (s *Store) randomSecret() ([]byte, error) {
	secret := make([]byte, sha256.Size)
	if _, err := io.ReadFull(s.rand, secret); err != nil {
		return nil, fmt.Errorf("draw a secret: %w", err)
	}
	return secret, nil
}

// Same reports whether two definitions would be written alike.
func same(a, b Subject) bool {
	left, leftErr := AppendRecord(nil, Record{Op: OpPut, Subject: a})
	right, rightErr := AppendRecord(nil, Record{Op: OpPut, Subject: b})
	return leftErr == nil && rightErr == nil && bytes.Equal(left, right)
}

// LockedReader lets several goroutines draw from one source.
type lockedReader struct {
	mu     sync.Mutex
	reader io.Reader
}

// Read reads from the source, one caller at a time.
func (r *lockedReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reader.Read(p)
}
