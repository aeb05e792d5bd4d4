package broker

import (
	"bytes"
	"testing"
)

// lettered makes a message with a body frame of n bytes.
func lettered(t *testing.T, key string, n int) Message {
	t.Helper()
	m, err := Compose(&Content{Exchange: "x", Key: key, Body: bytes.Repeat([]byte("b"), n)}, 131072)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestRecentIsBounded: by number, by bytes, and what it holds is accounted for to the byte.
func TestRecentIsBounded(t *testing.T) {
	t.Parallel()
	memory := newMemory(0, 0)
	r := &recent{messages: 3, bytes: 1000, memory: memory}
	add := func(key string, n int) {
		m := lettered(t, key, n)
		r.add(&m)
	}
	keys := func() string {
		var list []byte
		kept, _ := r.list()
		for i := range kept {
			c, err := kept[i].content()
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, c.Key...)
		}
		return string(list)
	}
	for _, c := range []struct {
		key  string
		size int
		want string
	}{
		{"a", 10, "a"},
		{"b", 10, "ab"},
		{"c", 10, "abc"},
		{"d", 10, "bcd"},
		{"e", 800, "cde"},
		{"f", 800, "f"},
		{"g", 5000, "f"},
		{"h", 1, "fh"},
	} {
		if add(c.key, c.size); keys() != c.want {
			t.Errorf("after %s: %s, want %s", c.key, keys(), c.want)
		}
		if memory.Used() != int64(r.size) || r.size > 1000 {
			t.Errorf("after %s: %d bytes are accounted for, %d are kept", c.key, memory.Used(), r.size)
		}
	}
	if _, total := r.list(); total != 8 {
		t.Errorf("%d were counted", total)
	}
	r.close()
	if add("i", 1); memory.Used() != 0 || keys() != "" {
		t.Errorf("closed, it keeps %q and %d bytes", keys(), memory.Used())
	}
}
