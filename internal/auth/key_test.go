package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"hash"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const testCluster = "amqp-0a1b2c3d4e5f"

var (
	testSecret = []byte("0123456789abcdef0123456789abcdef")
	testNow    = time.Unix(1_800_000_000, 0).UTC()
)

// Forge makes a token of any header and payload, signed with HMAC over digest.
func forge(header, payload string, secret []byte, digest func() hash.Hash) string {
	b64 := base64.RawURLEncoding
	signed := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(payload))
	mac := hmac.New(digest, secret)
	mac.Write([]byte(signed))
	return signed + "." + b64.EncodeToString(mac.Sum(nil))
}

func ourHeader(cluster string) string { return keyHeaderHead + cluster + keyHeaderTail }

func TestSignKeyShape(t *testing.T) {
	token, err := SignKey(testSecret, Key{Cluster: testCluster, Role: "orders", ID: "k1"})
	if err != nil {
		t.Fatal(err)
	}
	want := forge(`{"keyId":"amqp-0a1b2c3d4e5f","alg":"HS256"}`, `{"sub":"amqp-0a1b2c3d4e5f_orders","jti":"k1"}`, testSecret, sha256.New)
	if token != want {
		t.Errorf("SignKey = %s, want %s", token, want)
	}
	if !strings.HasPrefix(token, "eyJrZXlJZCI6") {
		t.Errorf("%s does not begin with eyJrZXlJZCI6", token)
	}
}

func TestKeyRoundTrip(t *testing.T) {
	for _, k := range []Key{
		{Cluster: testCluster, Role: "orders", ID: "k1"},
		{Cluster: testCluster, Role: "a_b_c", ID: "x", Expires: testNow.Add(time.Second)},
		{Cluster: testCluster, Role: `wäh"<rung>`, ID: strings.Repeat("k", MaxKeyID)},
		{Cluster: testCluster, Role: strings.Repeat("r", MaxUserName), ID: "k", Expires: time.Unix(maxExpiry, 0).UTC()},
	} {
		token, err := SignKey(testSecret, k)
		if err != nil {
			t.Fatalf("SignKey(%+v): %v", k, err)
		}
		if cluster, ok := PeekKey(token); !ok || cluster != testCluster {
			t.Errorf("PeekKey(%+v) = %q, %t", k, cluster, ok)
		}
		got, err := VerifyKey(token, testSecret, testNow)
		if err != nil {
			t.Errorf("VerifyKey(%+v): %v", k, err)
		}
		if diff := cmp.Diff(k, got); diff != "" {
			t.Errorf("VerifyKey (-want +got):\n%s", diff)
		}
	}
}

func TestSignKeyRefuses(t *testing.T) {
	good := Key{Cluster: testCluster, Role: "r", ID: "k"}
	for name, tc := range map[string]struct {
		secret []byte
		change func(*Key)
	}{
		"short secret":   {testSecret[:31], func(*Key) {}},
		"no secret":      {nil, func(*Key) {}},
		"cluster":        {testSecret, func(k *Key) { k.Cluster = "amqp-SHOUTED00000" }},
		"no role":        {testSecret, func(k *Key) { k.Role = "" }},
		"role too long":  {testSecret, func(k *Key) { k.Role = strings.Repeat("r", 256) }},
		"no id":          {testSecret, func(k *Key) { k.ID = "" }},
		"id too long":    {testSecret, func(k *Key) { k.ID = strings.Repeat("k", 65) }},
		"expired 1960":   {testSecret, func(k *Key) { k.Expires = time.Unix(-1, 0) }},
		"expires 100000": {testSecret, func(k *Key) { k.Expires = time.Unix(maxExpiry+1, 0) }},
	} {
		k := good
		tc.change(&k)
		if token, err := SignKey(tc.secret, k); err == nil {
			t.Errorf("%s: signed %s", name, token)
		}
	}
}

func TestVerifyKeyAttacks(t *testing.T) {
	const sub = `{"sub":"amqp-0a1b2c3d4e5f_r","jti":"k"`
	header := ourHeader(testCluster)
	sign := func(payload string) string { return forge(header, payload, testSecret, sha256.New) }
	good := sign(sub + `}`)
	if _, err := VerifyKey(good, testSecret, testNow); err != nil {
		t.Fatalf("the honest key: %v", err)
	}
	parts := strings.Split(good, ".")
	otherSecret := []byte("ffffffffffffffffffffffffffffffff")
	none := func(header string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + parts[1] + "."
	}
	for name, tc := range map[string]struct {
		token string
		want  error
	}{
		"empty":                   {"", ErrKeyMalformed},
		"alg none":                {none(`{"keyId":"amqp-0a1b2c3d4e5f","alg":"none"}`), ErrKeyMalformed},
		"alg None":                {none(`{"keyId":"amqp-0a1b2c3d4e5f","alg":"None"}`), ErrKeyMalformed},
		"no signature":            {parts[0] + "." + parts[1] + ".", ErrKeyMalformed},
		"alg RS256, secret HMAC":  {forge(`{"keyId":"amqp-0a1b2c3d4e5f","alg":"RS256"}`, sub+`}`, testSecret, sha256.New), ErrKeyMalformed},
		"alg HS512":               {forge(`{"keyId":"amqp-0a1b2c3d4e5f","alg":"HS512"}`, sub+`}`, testSecret, sha512.New), ErrKeyMalformed},
		"HS512 called HS256":      {forge(header, sub+`}`, testSecret, sha512.New), ErrKeySignature},
		"jwk in the header":       {forge(`{"keyId":"amqp-0a1b2c3d4e5f","alg":"HS256","jwk":{}}`, sub+`}`, testSecret, sha256.New), ErrKeyMalformed},
		"crit in the header":      {forge(`{"keyId":"amqp-0a1b2c3d4e5f","alg":"HS256","crit":["x"]}`, sub+`}`, testSecret, sha256.New), ErrKeyMalformed},
		"alg twice":               {forge(`{"keyId":"amqp-0a1b2c3d4e5f","alg":"none","alg":"HS256"}`, sub+`}`, testSecret, sha256.New), ErrKeyMalformed},
		"header in another order": {forge(`{"alg":"HS256","keyId":"amqp-0a1b2c3d4e5f"}`, sub+`}`, testSecret, sha256.New), ErrKeyMalformed},
		"keyId too short":         {forge(ourHeader("amqp-0a1b2c3d4e5"), `{"sub":"amqp-0a1b2c3d4e5_r","jti":"k"}`, testSecret, sha256.New), ErrKeyMalformed},
		"wrong secret":            {forge(header, sub+`}`, otherSecret, sha256.New), ErrKeySignature},
		"empty secret":            {forge(header, sub+`}`, nil, sha256.New), ErrKeySignature},
		"swapped payload":         {parts[0] + "." + strings.Split(sign(`{"sub":"amqp-0a1b2c3d4e5f_admin","jti":"k"}`), ".")[1] + "." + parts[2], ErrKeySignature},
		"swapped keyId":           {forge(ourHeader("amqp-ffffffffffff"), sub+`}`, testSecret, sha256.New), ErrKeyMalformed},
		"truncated":               {good[:len(good)-1], ErrKeyMalformed},
		"truncated by a byte":     {parts[0] + "." + parts[1] + "." + parts[2][:42], ErrKeyMalformed},
		"signature of two bytes":  {parts[0] + "." + parts[1] + ".AAA", ErrKeySignature},
		"four parts":              {good + ".AAAA", ErrKeyMalformed},
		"two parts":               {parts[0] + "." + parts[1], ErrKeyMalformed},
		"padded":                  {good + "=", ErrKeyMalformed},
		"line break at the end":   {good + "\n", ErrKeyMalformed},
		"line break inside":       {parts[0] + ".\r\n" + parts[1] + "." + parts[2], ErrKeyMalformed},
		"too long":                {good + strings.Repeat("A", MaxKeyLength-len(good)), ErrKeyMalformed},
		"payload not JSON":        {sign(`sub`), ErrKeyMalformed},
		"payload an array":        {sign(`[]`), ErrKeyMalformed},
		"payload null":            {sign(`null`), ErrKeyMalformed},
		"no sub":                  {sign(`{"jti":"k"}`), ErrKeyMalformed},
		"sub of another cluster":  {sign(`{"sub":"amqp-ffffffffffff_r","jti":"k"}`), ErrKeyMalformed},
		"sub without role":        {sign(`{"sub":"amqp-0a1b2c3d4e5f_","jti":"k"}`), ErrKeyMalformed},
		"sub a number":            {sign(`{"sub":1,"jti":"k"}`), ErrKeyMalformed},
		"sub in capitals":         {sign(`{"SUB":"amqp-0a1b2c3d4e5f_r","jti":"k"}`), ErrKeyMalformed},
		"no jti":                  {sign(`{"sub":"amqp-0a1b2c3d4e5f_r"}`), ErrKeyMalformed},
		"jti empty":               {sign(`{"sub":"amqp-0a1b2c3d4e5f_r","jti":""}`), ErrKeyMalformed},
		"jti a number":            {sign(`{"sub":"amqp-0a1b2c3d4e5f_r","jti":7}`), ErrKeyMalformed},
		"unknown claim":           {sign(sub + `,"nbf":4000000000}`), ErrKeyMalformed},
		"exp a float":             {sign(sub + `,"exp":4000000000.5}`), ErrKeyMalformed},
		"exp a whole float":       {sign(sub + `,"exp":4000000000.0}`), ErrKeyMalformed},
		"exp with exponent":       {sign(sub + `,"exp":4e9}`), ErrKeyMalformed},
		"exp 1e300":               {sign(sub + `,"exp":1e300}`), ErrKeyMalformed},
		"exp over int64":          {sign(sub + `,"exp":9223372036854775808}`), ErrKeyMalformed},
		"exp over year 9999":      {sign(sub + `,"exp":253402300800}`), ErrKeyMalformed},
		"exp a string":            {sign(sub + `,"exp":"4000000000"}`), ErrKeyMalformed},
		"exp negative":            {sign(sub + `,"exp":-1}`), ErrKeyMalformed},
		"exp zero":                {sign(sub + `,"exp":0}`), ErrKeyMalformed},
		"exp null":                {sign(sub + `,"exp":null}`), ErrKeyMalformed},
		"expired":                 {sign(sub + `,"exp":1799999999}`), ErrKeyExpired},
		"expires now":             {sign(sub + `,"exp":1800000000}`), ErrKeyExpired},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := VerifyKey(tc.token, testSecret, testNow)
			if !errors.Is(err, tc.want) {
				t.Errorf("VerifyKey = %+v, %v; want %v", k, err, tc.want)
			}
			if k != (Key{}) {
				t.Errorf("a refused key says %+v", k)
			}
		})
	}
	if _, err := VerifyKey(forge(header, sub+`}`, nil, sha256.New), nil, testNow); !errors.Is(err, ErrKeySignature) {
		t.Errorf("a key signed with no secret, checked against none: %v", err)
	}
}

func TestPeekKey(t *testing.T) {
	token, err := SignKey(testSecret, Key{Cluster: testCluster, Role: "r", ID: "k"})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"", "guest", "eyJrZXlJZCI6", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA", token[:40], strings.ToUpper(token), " " + token} {
		if cluster, ok := PeekKey(s); ok {
			t.Errorf("PeekKey(%q) = %q", s, cluster)
		}
	}
	if n := testing.AllocsPerRun(100, func() { PeekKey("correct horse battery staple") }); n != 0 {
		t.Errorf("PeekKey of a password allocates %v times", n)
	}
}

func FuzzVerifyKey(f *testing.F) {
	token, err := SignKey(testSecret, Key{Cluster: testCluster, Role: "r", ID: "k", Expires: testNow.Add(time.Hour)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add(forge(ourHeader(testCluster), `{"sub":"amqp-0a1b2c3d4e5f_r","jti":"k","exp":1e300}`, testSecret, sha256.New))
	f.Add("eyJrZXlJZCI6..")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := VerifyKey(s, testSecret, testNow)
		if err != nil {
			return
		}
		// Whatever verifies is a token that we would have signed.
		again, err := SignKey(testSecret, k)
		if err != nil || again != s {
			t.Errorf("verified %q, which is signed %q, %v", s, again, err)
		}
	})
}

// FuzzKeyPayload signs what the fuzzer writes, so that the claims behind the signature are reached.
func FuzzKeyPayload(f *testing.F) {
	f.Add(`{"sub":"amqp-0a1b2c3d4e5f_r","jti":"k","exp":4000000000}`)
	f.Add(`{"sub":"amqp-0a1b2c3d4e5f_r","jti":"k","exp":1e300}`)
	f.Fuzz(func(t *testing.T, payload string) {
		k, err := VerifyKey(forge(ourHeader(testCluster), payload, testSecret, sha256.New), testSecret, testNow)
		if err != nil {
			return
		}
		if k.Cluster != testCluster || k.Role == "" || k.ID == "" || !k.Expires.IsZero() && !k.Expires.After(testNow) {
			t.Errorf("%q verified as %+v", payload, k)
		}
		if _, err := SignKey(testSecret, k); err != nil {
			t.Errorf("%q verified as %+v, which cannot be signed: %v", payload, k, err)
		}
	})
}

func BenchmarkVerifyKey(b *testing.B) {
	token, err := SignKey(testSecret, Key{Cluster: testCluster, Role: "r", ID: "k"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := VerifyKey(token, testSecret, testNow); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPeekKey(b *testing.B) {
	token, err := SignKey(testSecret, Key{Cluster: testCluster, Role: "r", ID: "k"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		PeekKey(token)
	}
}
