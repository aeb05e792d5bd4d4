package auth

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Argon2id with OWASP's first recommendation: 19 MiB, two passes, one lane. One hash takes some
// 30 ms of one core, which is why callers cap how many run at once.
const (
	argonMemory  = 19 << 10 // KiB.
	argonPasses  = 2
	argonLanes   = 1
	argonSalt    = 16
	argonDigest  = 32
	argonVariant = "argon2id"
)

// What we accept of a hash that somebody else made, so that an imported hash cannot make every
// login take a minute or a gigabyte.
const (
	maxArgonMemory = 64 << 10 // KiB.
	maxArgonPasses = 10
	maxArgonLanes  = 16
	minArgonBytes  = 8 // Of salt, and of digest.
	maxArgonBytes  = 64
)

// RabbitMQ's hashes are base64 of a salt and the digest of salt and password.
const (
	rabbitSalt   = 4
	rabbitSHA256 = rabbitSalt + sha256.Size
	rabbitSHA512 = rabbitSalt + sha512.Size
)

const (
	// MaxPassword is the length of the longest password, in bytes.
	MaxPassword = 1024

	// MaxPasswordHash is the length of the longest password hash, in bytes.
	MaxPasswordHash = 512
)

var (
	// ErrPassword is wrapped by every refusal to hash a password.
	ErrPassword = errors.New("password not allowed")
	// ErrPasswordHash says that a text is not a password hash we can check.
	ErrPasswordHash = errors.New("not an argon2id PHC string, nor RabbitMQ's base64 of salt and SHA-256 or SHA-512")
)

// HashPassword makes the argon2id PHC string of a password, with 16 bytes of salt read from rand.
//
// It takes 19 MiB and some 30 ms: whoever hashes for strangers must cap how many run at once.
func HashPassword(rand io.Reader, pw string) (string, error) {
	if pw == "" || len(pw) > MaxPassword {
		return "", fmt.Errorf("%w: a password has 1 to %d bytes, this one has %d", ErrPassword, MaxPassword, len(pw))
	}
	salt := make([]byte, argonSalt)
	if _, err := io.ReadFull(rand, salt); err != nil {
		return "", fmt.Errorf("hash password: draw the salt: %w", err)
	}
	digest := argon2.IDKey([]byte(pw), salt, argonPasses, argonMemory, argonLanes, argonDigest)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$%s$v=%d$m=%d,t=%d,p=%d$%s$%s", argonVariant, argon2.Version,
		argonMemory, argonPasses, argonLanes, b64.EncodeToString(salt), b64.EncodeToString(digest)), nil
}

// CheckPassword reports whether pw is the password that hash was made of: an argon2id PHC
// string, or a RabbitMQ hash (SHA-256 or SHA-512, told apart by length). The empty password and
// the empty hash never match.
//
// A refusal costs one argon2 computation whatever hash is, so that the time does not tell a user
// without a password, or one who does not exist (pass an empty hash), from a wrong password. The
// cost is that of [HashPassword], and so is the duty to cap it.
func CheckPassword(hash, pw string) bool {
	if pw == "" || len(pw) > MaxPassword {
		return false
	}
	if h, err := parseArgon(hash); err == nil {
		digest := argon2.IDKey([]byte(pw), h.salt, h.passes, h.memory, h.lanes, uint32(len(h.digest))) //nolint:gosec // At most maxArgonBytes.
		return subtle.ConstantTimeCompare(digest, h.digest) == 1
	}
	if checkRabbit(hash, pw) {
		return true
	}
	argon2.IDKey([]byte(pw), make([]byte, argonSalt), argonPasses, argonMemory, argonLanes, argonDigest)
	return false
}

// CheckPasswordHash returns [ErrPasswordHash] unless hash is one that [CheckPassword] can check.
func CheckPasswordHash(hash string) error {
	if _, err := parseArgon(hash); err == nil {
		return nil
	}
	if _, ok := parseRabbit(hash); ok {
		return nil
	}
	return ErrPasswordHash
}

type argonHash struct {
	memory, passes uint32
	lanes          uint8
	salt, digest   []byte
}

// parseArgon reads $argon2id$v=19$m=19456,t=2,p=1$salt$digest, with its parameters in this order.
func parseArgon(hash string) (argonHash, error) {
	if len(hash) > MaxPasswordHash {
		return argonHash{}, ErrPasswordHash
	}
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != argonVariant || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return argonHash{}, ErrPasswordHash
	}
	cost := strings.Split(parts[3], ",")
	if len(cost) != 3 {
		return argonHash{}, ErrPasswordHash
	}
	memory, memoryErr := parseCost(cost[0], "m=", maxArgonMemory)
	passes, passesErr := parseCost(cost[1], "t=", maxArgonPasses)
	lanes, lanesErr := parseCost(cost[2], "p=", maxArgonLanes)
	salt, saltErr := base64.RawStdEncoding.DecodeString(parts[4])
	digest, digestErr := base64.RawStdEncoding.DecodeString(parts[5])
	if err := errors.Join(memoryErr, passesErr, lanesErr, saltErr, digestErr); err != nil {
		return argonHash{}, fmt.Errorf("%w: %w", ErrPasswordHash, err)
	}
	if min(len(salt), len(digest)) < minArgonBytes || max(len(salt), len(digest)) > maxArgonBytes {
		return argonHash{}, ErrPasswordHash
	}
	return argonHash{memory: memory, passes: passes, lanes: uint8(lanes & 0xff), salt: salt, digest: digest}, nil
}

func parseCost(s, prefix string, limit uint32) (uint32, error) {
	digits, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return 0, ErrPasswordHash
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("parameter %s: %w", prefix, err)
	}
	if n == 0 || n > uint64(limit) {
		return 0, fmt.Errorf("parameter %s%d: the limit is %d", prefix, n, limit)
	}
	return uint32(n), nil
}

func parseRabbit(hash string) ([]byte, bool) {
	if len(hash) > base64.StdEncoding.EncodedLen(rabbitSHA512) {
		return nil, false
	}
	raw, err := base64.StdEncoding.DecodeString(hash)
	return raw, err == nil && (len(raw) == rabbitSHA256 || len(raw) == rabbitSHA512)
}

func checkRabbit(hash, pw string) bool {
	raw, ok := parseRabbit(hash)
	if !ok {
		return false
	}
	salt, digest := raw[:rabbitSalt], raw[rabbitSalt:]
	salted := append([]byte(nil), salt...)
	salted = append(salted, pw...)
	var got []byte
	if len(raw) == rabbitSHA256 {
		sum := sha256.Sum256(salted)
		got = sum[:]
	} else {
		sum := sha512.Sum512(salted)
		got = sum[:]
	}
	return subtle.ConstantTimeCompare(got, digest) == 1
}
