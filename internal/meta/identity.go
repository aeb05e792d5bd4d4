package meta

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/warrenmq/warren/internal/auth"
)

// ErrRefused is the answer to every login that fails, whatever the reason.
var ErrRefused = errors.New("login refused")

// Identity is who has logged in.
type Identity struct {
	Cluster string // Id.
	Role    string
	Tags    []string
	KeyID   string    // Which key was shown; empty: a password was.
	Expires time.Time // When the key ends as far as was known at the login; zero: no end.
}

// Authenticate says who logs in with a user name and a password. A password that is shaped like a
// role's key is only ever taken for one: its cluster is the key's, and the user must be the key's
// role. Any other is the password of a user of the default cluster.
//
// Every refusal is [ErrRefused], takes about the same time for users that exist and that do not,
// and is logged at debug level with its reason. A success is remembered until the role changes, so
// that connecting again costs a hash of both strings. Passwords are checked two at a time and the
// others wait: callers limit how many strangers they let try.
func (s *Store) Authenticate(user, password string) (Identity, error) {
	if user == "" || password == "" || len(user) > MaxName || len(password) >= auth.MaxKeyLength {
		return Identity{}, ErrRefused
	}
	digest := s.logins.digest(user, password)
	if known, ok := s.logins.find(digest); ok && s.stillGood(known) {
		return known.identity, nil
	}
	var fresh login
	var err error
	if cluster, isKey := auth.PeekKey(password); isKey {
		fresh, err = s.keyLogin(cluster, user, password)
	} else {
		fresh, err = s.passwordLogin(user, password)
	}
	if err != nil {
		s.logger.Debug("login refused", slog.String("role", user), slog.Any("reason", err))
		return Identity{}, ErrRefused
	}
	s.logins.remember(digest, fresh)
	return fresh.identity, nil
}

// AuthenticateCertificate says who logs in with a verified certificate for name, which is
// "<cluster>_<role>" or a user of the default cluster, and is good until expires. Every refusal is
// [ErrRefused].
func (s *Store) AuthenticateCertificate(name string, expires time.Time) (Identity, error) {
	cluster, of := auth.SplitSubject(name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	role, err := s.state.role(s.clusterID(cluster), of)
	if err == nil && role.Disabled {
		err = errors.New("the role is disabled")
	}
	if name == "" || err != nil {
		s.logger.Debug("certificate refused", slog.String("name", name), slog.Any("reason", err))
		return Identity{}, ErrRefused
	}
	return newLogin(role, "", expires).identity, nil
}

// Stale reports whether an identity must be thrown out now: its role is deleted or disabled, or the
// key it came with is revoked or has expired. Ask on every [RoleChanged] of the role, and once a
// second or at the latest at Expires, because overlaps end without a change.
func (s *Store) Stale(identity Identity) bool {
	now := s.now()
	s.mu.RLock()
	defer s.mu.RUnlock()
	role, err := s.state.role(identity.Cluster, identity.Role)
	return err != nil || staleRole(&role.Role, identity.KeyID, now)
}

func staleRole(r *Role, keyID string, now time.Time) bool {
	if r.Disabled {
		return true
	}
	if keyID == "" {
		return false
	}
	_, good := r.goodKey(keyID, now)
	return !good
}

// Rights gives what an identity may do on a vhost of its own cluster, or nil when it may do nothing
// there or there is no such vhost.
func (s *Store) Rights(identity Identity, vhost string) *auth.Rights {
	s.mu.RLock()
	role, err := s.state.role(identity.Cluster, identity.Role)
	var permission Permission
	found := false
	var topics []auth.Topic
	if err == nil {
		permission, found = role.permissions[vhost]
		topics = role.topicsOn(vhost)
	}
	s.mu.RUnlock()
	if !found {
		return nil
	}
	rights, err := s.rights.compile(permission.Patterns())
	if err != nil {
		s.logger.Error("a stored permission does not compile; it allows nothing",
			slog.String("cluster", identity.Cluster), slog.String("vhost", vhost), slog.String("role", identity.Role), slog.Any("error", err))
		return nil
	}
	narrow, err := auth.CompileTopics(topics, map[string]string{"username": identity.Role, "vhost": vhost})
	if err != nil {
		s.logger.Error("a stored topic permission does not compile; nothing is allowed",
			slog.String("cluster", identity.Cluster), slog.String("vhost", vhost), slog.String("role", identity.Role), slog.Any("error", err))
		return nil
	}
	return rights.With(narrow)
}

// StillGood reports whether a remembered login would succeed again. Any change of the role has
// raised its version, also when it was deleted and made anew.
func (s *Store) stillGood(known login) bool {
	now := s.now()
	s.mu.RLock()
	defer s.mu.RUnlock()
	role, err := s.state.role(known.identity.Cluster, known.identity.Role)
	return err == nil && role.version == known.version && !staleRole(&role.Role, known.identity.KeyID, now)
}

func (s *Store) keyLogin(cluster, user, token string) (login, error) {
	now := s.now()
	s.mu.RLock()
	secret := s.logins.decoy // A cluster that does not exist costs the same.
	if c, err := s.state.cluster(cluster); err == nil {
		secret = c.Secret
	}
	s.mu.RUnlock()
	key, err := auth.VerifyKey(token, secret, now)
	if err != nil {
		return login{}, err
	}
	if key.Role != user {
		return login{}, fmt.Errorf("the key is that of role %q", key.Role)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	role, err := s.state.role(key.Cluster, key.Role)
	if err != nil {
		return login{}, err
	}
	until, good := role.goodKey(key.ID, now)
	switch {
	case role.Disabled:
		return login{}, errors.New("the role is disabled")
	case !good:
		return login{}, errors.New("the key is revoked")
	}
	if until.IsZero() || !key.Expires.IsZero() && key.Expires.Before(until) {
		until = key.Expires
	}
	return newLogin(role, key.ID, until), nil
}

func (s *Store) passwordLogin(user, password string) (login, error) {
	s.mu.RLock()
	var hash string // Empty unless the user exists: CheckPassword then refuses at the usual cost.
	var fresh login
	role, err := s.state.role(s.defaultCluster, user)
	if err == nil {
		hash, fresh = role.PasswordHash, newLogin(role, "", time.Time{})
		if role.Disabled {
			hash, err = "", errors.New("the user is disabled")
		}
	}
	s.mu.RUnlock()
	if !s.logins.check(hash, password) && err == nil {
		err = errors.New("the password is wrong, or the user has none")
	}
	return fresh, err
}

// Login is a login that succeeded while the role had this version.
type login struct {
	identity Identity
	version  uint64
}

func newLogin(role *roleState, keyID string, expires time.Time) login {
	return login{
		identity: Identity{Cluster: role.Cluster, Role: role.Name, Tags: slices.Clone(role.Tags), KeyID: keyID, Expires: expires},
		version:  role.version,
	}
}

// Logins remembers the logins that succeeded and caps the hashing for the others.
type logins struct {
	pepper []byte // Makes the digests worthless outside this process.
	decoy  []byte // The secret of clusters that do not exist.
	slots  chan struct{}

	mu    sync.Mutex
	known map[[sha256.Size]byte]login // Guarded by mu. At most maxLogins.
}

func (l *logins) init(rand io.Reader) error {
	drawn := make([]byte, 2*sha256.Size)
	if _, err := io.ReadFull(rand, drawn); err != nil {
		return fmt.Errorf("draw a secret: %w", err)
	}
	l.pepper, l.decoy = drawn[:sha256.Size], drawn[sha256.Size:]
	l.slots = make(chan struct{}, maxHashes)
	l.known = make(map[[sha256.Size]byte]login)
	return nil
}

// Digest stands for one pair of user and password, whose lengths keep "a"+"bc" from "ab"+"c".
func (l *logins) digest(user, password string) [sha256.Size]byte {
	text := make([]byte, 0, len(l.pepper)+4+len(user)+len(password))
	text = append(text, l.pepper...)
	text = binary.BigEndian.AppendUint32(text, uint32(len(user))) //nolint:gosec // At most MaxName.
	text = append(text, user...)
	text = append(text, password...)
	return sha256.Sum256(text)
}

func (l *logins) find(digest [sha256.Size]byte) (login, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.known[digest]
	return known, ok
}

// Remember keeps a login; when there is no room any other one goes, which then costs its check
// again.
func (l *logins) remember(digest [sha256.Size]byte, fresh login) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.known) >= maxLogins {
		for other := range l.known {
			delete(l.known, other)
			break
		}
	}
	l.known[digest] = fresh
}

func (l *logins) check(hash, password string) bool {
	l.slots <- struct{}{}
	defer func() { <-l.slots }()
	return auth.CheckPassword(hash, password)
}

func (l *logins) hash(rand io.Reader, password string) (string, error) {
	l.slots <- struct{}{}
	defer func() { <-l.slots }()
	return auth.HashPassword(rand, password)
}

// RightsCache keeps compiled permissions. Most roles have one of a few, and a compiled permission
// depends on nothing but its patterns, so nothing ever has to be invalidated.
type rightsCache struct {
	mu       sync.Mutex
	compiled map[auth.Permission]*auth.Rights // Guarded by mu. At most maxRights.
}

func (c *rightsCache) compile(p auth.Permission) (*auth.Rights, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if rights, ok := c.compiled[p]; ok {
		return rights, nil
	}
	rights, err := auth.Compile(p)
	if err != nil {
		return nil, err
	}
	if c.compiled == nil || len(c.compiled) >= maxRights {
		c.compiled = make(map[auth.Permission]*auth.Rights)
	}
	c.compiled[p] = rights
	return rights, nil
}
