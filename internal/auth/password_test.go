package auth

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

func rabbit256(salt, pw string) string {
	sum := sha256.Sum256([]byte(salt + pw))
	return base64.StdEncoding.EncodeToString(append([]byte(salt), sum[:]...))
}

func rabbit512(salt, pw string) string {
	sum := sha512.Sum512([]byte(salt + pw))
	return base64.StdEncoding.EncodeToString(append([]byte(salt), sum[:]...))
}

func TestHashPassword(t *testing.T) {
	hash, err := HashPassword(rand.Reader, "guest")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") || len(hash) > MaxPasswordHash {
		t.Errorf("HashPassword = %s", hash)
	}
	if err := CheckPasswordHash(hash); err != nil {
		t.Error(err)
	}
	for pw, want := range map[string]bool{"guest": true, "Guest": false, "guest ": false, "": false} {
		if CheckPassword(hash, pw) != want {
			t.Errorf("CheckPassword(%q) is not %t", pw, want)
		}
	}
	again, err := HashPassword(rand.Reader, "guest")
	if err != nil || again == hash {
		t.Errorf("the same password twice gives %s and %s, %v", hash, again, err)
	}
}

func TestHashPasswordRefuses(t *testing.T) {
	for _, pw := range []string{"", strings.Repeat("x", MaxPassword+1)} {
		if _, err := HashPassword(rand.Reader, pw); !errors.Is(err, ErrPassword) {
			t.Errorf("%d bytes: %v", len(pw), err)
		}
	}
	if _, err := HashPassword(bytes.NewReader(nil), "x"); err == nil {
		t.Error("hashed without a salt")
	}
}

func TestCheckPassword(t *testing.T) {
	// The argon2id vector is the reference implementation's: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1.
	const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	// The first RabbitMQ vector is that of its documentation on passwords ("test12").
	const documented = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
	long := strings.Repeat("p", MaxPassword+1)
	for name, tc := range map[string]struct {
		hash, pw string
		want     bool
	}{
		"argon2id reference":      {reference, "password", true},
		"argon2id wrong":          {reference, "Password", false},
		"rabbit documented":       {documented, "test12", true},
		"rabbit documented wrong": {documented, "test13", false},
		"rabbit sha256":           {rabbit256("salt", "p"), "p", true},
		"rabbit sha256 wrong":     {rabbit256("salt", "p"), "q", false},
		"rabbit sha256 empty":     {rabbit256("salt", ""), "", false},
		"rabbit sha512":           {rabbit512("salt", "p"), "p", true},
		"rabbit sha512 wrong":     {rabbit512("salt", "p"), "q", false},
		"rabbit too long":         {rabbit256("salt", long), long, false},
		"no hash":                 {"", "p", false},
		"no hash, no password":    {"", "", false},
		"plain text":              {"p", "p", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := CheckPassword(tc.hash, tc.pw); got != tc.want {
				t.Errorf("CheckPassword = %t", got)
			}
		})
	}
}

func TestCheckPasswordHashRefuses(t *testing.T) {
	sum := md5.Sum([]byte("saltp"))
	for name, hash := range map[string]string{
		"empty":            "",
		"md5":              base64.StdEncoding.EncodeToString(append([]byte("salt"), sum[:]...)),
		"argon2i":          "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"old version":      "$argon2id$v=16$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"a gigabyte":       "$argon2id$v=19$m=1048576,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"a thousand times": "$argon2id$v=19$m=65536,t=1000,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"no lane":          "$argon2id$v=19$m=65536,t=2,p=0$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"256 lanes":        "$argon2id$v=19$m=65536,t=2,p=257$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"negative":         "$argon2id$v=19$m=-1,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"no digest":        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$",
		"short salt":       "$argon2id$v=19$m=65536,t=2,p=1$c29t$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"too long":         "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$" + strings.Repeat("A", MaxPasswordHash),
	} {
		if err := CheckPasswordHash(hash); !errors.Is(err, ErrPasswordHash) {
			t.Errorf("%s: %v", name, err)
		}
		if CheckPassword(hash, "p") {
			t.Errorf("%s: matches", name)
		}
	}
}

func BenchmarkCheckPassword(b *testing.B) {
	hash, err := HashPassword(rand.Reader, "guest")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !CheckPassword(hash, "guest") {
			b.Fatal("refused")
		}
	}
}
