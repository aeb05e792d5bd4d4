package auth

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// ClusterIDLength is the length of every cluster id: "amqp-" and 12 lower-case letters or digits.
	ClusterIDLength = len(clusterIDPrefix) + 12

	// MaxRoleName is the longest name of a role, in bytes (TDMQ's limit).
	MaxRoleName = 32

	// MaxUserName is the longest name of a user of the default cluster, in bytes: what fits into
	// one AMQP short string.
	MaxUserName = 255

	clusterIDPrefix = "amqp-"
)

// ErrName is wrapped by every refusal of a role's or user's name.
var ErrName = errors.New("name not allowed")

// IsClusterID reports whether s is "amqp-" followed by exactly 12 lower-case letters or digits.
func IsClusterID(s string) bool {
	if len(s) != ClusterIDLength || !strings.HasPrefix(s, clusterIDPrefix) {
		return false
	}
	for _, c := range []byte(s[len(clusterIDPrefix):]) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// CheckRoleName reports, wrapping [ErrName], why name cannot be the name of a role with a key:
// it needs 1 to [MaxRoleName] characters out of A-Z, a-z, 0-9, "_", "." and "-".
func CheckRoleName(name string) error {
	if name == "" || len(name) > MaxRoleName {
		return fmt.Errorf("%w: a role's name has 1 to %d characters, this one has %d", ErrName, MaxRoleName, len(name))
	}
	for i := range len(name) {
		if !isNameByte(name[i]) {
			return fmt.Errorf("%w: a role's name is made of letters, digits, '_', '.' and '-', %q is not", ErrName, name)
		}
	}
	return nil
}

// CheckUserName reports, wrapping [ErrName], why name cannot be the name of a user of the default
// cluster: it needs 1 to [MaxUserName] bytes of UTF-8 without control characters.
func CheckUserName(name string) error {
	if name == "" || len(name) > MaxUserName {
		return fmt.Errorf("%w: a user's name has 1 to %d bytes, this one has %d", ErrName, MaxUserName, len(name))
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("%w: a user's name is UTF-8, %q is not", ErrName, name)
	}
	if strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("%w: a user's name has no control characters, %q has", ErrName, name)
	}
	return nil
}

func isNameByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	default:
		return c == '_' || c == '.' || c == '-'
	}
}
