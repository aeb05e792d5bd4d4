package auth

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A key is a JWS in compact form (RFC 7515 §3.1). Its header is, byte for byte,
//
//	{"keyId":"amqp-xxxxxxxxxxxx","alg":"HS256"}
//
// in this order, so that every key begins with "eyJrZXlJZCI6" and tells its cluster before
// anything is verified. Because nothing but the cluster id may differ, no header field can choose
// another algorithm, name a key by URL or demand an extension. The payload is
//
//	{"sub":"<cluster>_<role>","jti":"<key id>"[,"exp":<seconds since 1970>]}
//
// and a payload with any other claim is refused: we never write one, and one that limits the key
// (nbf, aud) must not be overlooked.
const (
	keyHeaderHead = `{"keyId":"`
	keyHeaderTail = `","alg":"HS256"}`
	keyPrefix     = "eyJrZXlJZCI6"

	keyHeaderLength = len(keyHeaderHead) + ClusterIDLength + len(keyHeaderTail)

	// The last second of the year 9999, the last that RFC 3339 can write.
	maxExpiry = 253402300799
)

const (
	// MaxKeyLength is the length, in bytes, that a token must stay below to be looked at. Our own
	// keys have fewer than 500.
	MaxKeyLength = 8 << 10

	// MinSecretLength is the length of the shortest secret that keys are signed with, in bytes: as
	// long as the digest (RFC 7518 §3.2).
	MinSecretLength = 32

	// MaxKeyID is the length of the longest key id (jti), in bytes.
	MaxKeyID = 64
)

// What is wrong with a key. Callers show a stranger one text for all of them.
var (
	// ErrKeyMalformed says that a token is not shaped like a key of ours.
	ErrKeyMalformed = errors.New("key is malformed")
	// ErrKeySignature says that a key was not signed with the cluster's secret.
	ErrKeySignature = errors.New("key has a wrong signature")
	// ErrKeyExpired says that a key is genuine and its time is over.
	ErrKeyExpired = errors.New("key has expired")
)

// Key is what a role's key says.
type Key struct {
	Cluster string    // Id of the cluster whose secret signs it.
	Role    string    // Name of the role.
	ID      string    // The jti, by which one key is revoked: 1 to MaxKeyID of A-Z a-z 0-9 _ . -.
	Expires time.Time // Whole seconds; the key is good before it. Zero: never expires.
}

// SignKey writes k as a token signed with secret. The same arguments give the same token.
func SignKey(secret []byte, k Key) (string, error) {
	if len(secret) < MinSecretLength {
		return "", fmt.Errorf("sign key: the secret has %d bytes, at least %d are needed", len(secret), MinSecretLength)
	}
	if !IsClusterID(k.Cluster) {
		return "", fmt.Errorf("sign key: %q is not a cluster id", k.Cluster)
	}
	if err := CheckUserName(k.Role); err != nil {
		return "", fmt.Errorf("sign key: %w", err)
	}
	if !isKeyID(k.ID) {
		return "", fmt.Errorf("sign key: %q is not a key id", k.ID)
	}
	claims := struct {
		Sub string `json:"sub"`
		Jti string `json:"jti"`
		Exp int64  `json:"exp,omitempty"`
	}{Sub: k.Cluster + "_" + k.Role, Jti: k.ID}
	if !k.Expires.IsZero() {
		claims.Exp = k.Expires.Unix()
		if claims.Exp <= 0 || claims.Exp > maxExpiry {
			return "", fmt.Errorf("sign key: %s is not a time a key can expire at", k.Expires)
		}
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("sign key: %w", err)
	}
	encoding := base64.RawURLEncoding
	signed := encoding.EncodeToString([]byte(keyHeaderHead+k.Cluster+keyHeaderTail)) + "." + encoding.EncodeToString(payload)
	signature, err := jwt.SigningMethodHS256.Sign(signed, secret)
	if err != nil {
		return "", fmt.Errorf("sign key: %w", err)
	}
	return signed + "." + encoding.EncodeToString(signature), nil
}

// PeekKey reports whether token is shaped like one of our keys and which cluster it names. Nothing
// is verified: the answer only tells whose secret to call [VerifyKey] with.
func PeekKey(token string) (cluster string, ok bool) {
	if !strings.HasPrefix(token, keyPrefix) || len(token) >= MaxKeyLength {
		return "", false
	}
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, found := strings.Cut(rest, ".")
	if !found || !isBase64URL(header) || !isBase64URL(payload) || !isBase64URL(signature) {
		return "", false
	}
	if base64.RawURLEncoding.DecodedLen(len(header)) != keyHeaderLength {
		return "", false
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(header)
	if err != nil {
		return "", false
	}
	cluster, headOK := strings.CutPrefix(string(text), keyHeaderHead)
	cluster, tailOK := strings.CutSuffix(cluster, keyHeaderTail)
	if !headOK || !tailOK || !IsClusterID(cluster) {
		return "", false
	}
	return cluster, true
}

// PeekRole is PeekKey for the role: whose name to log in with.
func PeekRole(token string) (role string, ok bool) {
	cluster, ok := PeekKey(token)
	if !ok {
		return "", false
	}
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.Strict().DecodeString(payload)
	if err != nil {
		return "", false
	}
	var claims struct {
		Sub string `json:"sub"`
	}
	if json.Unmarshal(text, &claims) != nil {
		return "", false
	}
	return strings.CutPrefix(claims.Sub, cluster+"_")
}

// VerifyKey reads a token that was signed with secret and is still good at now. Its errors wrap
// [ErrKeyMalformed], [ErrKeySignature] or [ErrKeyExpired]. Whether the role exists and the key was
// revoked is for the caller to know.
func VerifyKey(token string, secret []byte, now time.Time) (Key, error) {
	cluster, ok := PeekKey(token)
	if !ok {
		return Key{}, ErrKeyMalformed
	}
	if len(secret) < MinSecretLength {
		return Key{}, fmt.Errorf("%w: the secret is too short to have signed it", ErrKeySignature)
	}
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithStrictDecoding(),
		jwt.WithJSONNumber(),
		jwt.WithoutClaimsValidation(), // readClaims is stricter and has our clock.
	)
	if _, err := parser.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return secret, nil }); err != nil {
		if errors.Is(err, jwt.ErrTokenSignatureInvalid) {
			return Key{}, fmt.Errorf("%w: %w", ErrKeySignature, err)
		}
		return Key{}, fmt.Errorf("%w: %w", ErrKeyMalformed, err)
	}
	k, err := readClaims(cluster, claims)
	if err != nil {
		return Key{}, err
	}
	if !k.Expires.IsZero() && !now.Before(k.Expires) {
		return Key{}, fmt.Errorf("%w at %s", ErrKeyExpired, k.Expires.Format(time.RFC3339))
	}
	return k, nil
}

// readClaims reads the payload of a token whose signature is right and whose header names cluster.
func readClaims(cluster string, claims jwt.MapClaims) (Key, error) {
	k := Key{Cluster: cluster}
	for name, value := range claims {
		ok := false
		switch name {
		case "sub":
			subject, _ := value.(string)
			k.Role, ok = strings.CutPrefix(subject, cluster+"_")
			ok = ok && CheckUserName(k.Role) == nil
		case "jti":
			k.ID, ok = value.(string)
			ok = ok && isKeyID(k.ID)
		case "exp":
			k.Expires, ok = readExpiry(value)
		}
		if !ok {
			return Key{}, fmt.Errorf("%w: claim %.16q", ErrKeyMalformed, name)
		}
	}
	if k.Role == "" || k.ID == "" {
		return Key{}, fmt.Errorf("%w: sub and jti are required", ErrKeyMalformed)
	}
	return k, nil
}

// readExpiry accepts whole seconds after 1970 and up to the year 9999, written as digits only.
func readExpiry(value any) (time.Time, bool) {
	number, ok := value.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseInt(number.String(), 10, 64)
	if err != nil || seconds <= 0 || seconds > maxExpiry {
		return time.Time{}, false
	}
	return time.Unix(seconds, 0).UTC(), true
}

func isKeyID(s string) bool {
	if s == "" || len(s) > MaxKeyID {
		return false
	}
	for i := range len(s) {
		if !isNameByte(s[i]) {
			return false
		}
	}
	return true
}

// isBase64URL keeps out the line breaks and padding that decoders overlook, so that a key has one
// spelling only.
func isBase64URL(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isNameByte(c) || c == '.' {
			return false
		}
	}
	return s != ""
}
