package storage

import (
	"encoding/binary"
	"hash/crc32"
	"testing"
)

// FuzzDefinitionsFrame reads anything as a frame of the definitions.
func FuzzDefinitionsFrame(f *testing.F) {
	seal := func(body []byte) []byte {
		b := binary.LittleEndian.AppendUint32(nil, uint32(len(body)))
		b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
		return append(b, body...)
	}
	f.Add(seal(make([]byte, nonceSize+16)))
	f.Add(append(seal(make([]byte, 40)), "rest"...))
	f.Add(seal(make([]byte, nonceSize-1)))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		d := &Definitions{}
		if err := d.useKey(make([]byte, keySize)); err != nil {
			t.Fatal(err)
		}
		body, n := frameOf(b)
		if n == 0 {
			return
		}
		if n > len(b) || len(body) != n-defsFrame || len(body) < nonceSize {
			t.Fatalf("a frame of %d bytes with %d in it, out of %d", n, len(body), len(b))
		}
		if _, err := d.aead.Open(nil, body[:nonceSize], body[nonceSize:], extra(1, 0)); err == nil {
			t.Fatal("a frame that nobody sealed was opened")
		}
	})
}
