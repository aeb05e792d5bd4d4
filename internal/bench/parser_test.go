package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/warrenmq/warren/amqp"
)

// delivery appends a delivery whose body begins with its number.
func delivery(dst []byte, tag uint64, size int, maxFrame uint32) []byte {
	dst = amqp.AppendMethod(dst, channelID, &amqp.BasicDeliver{ConsumerTag: consumerTag, DeliveryTag: tag, Exchange: "x", RoutingKey: "some.key"})
	dst = (&amqp.Properties{DeliveryMode: 2}).AppendHeader(dst, channelID, uint64(size))
	body := make([]byte, size)
	if size >= stampSize {
		binary.BigEndian.PutUint64(body, tag*1000)
	}
	return amqp.AppendBody(dst, channelID, body, maxFrame)
}

// stream is deliveries of many sizes with other frames between them.
func stream(sizes []int) []byte {
	var b []byte
	for i, size := range sizes {
		b = delivery(b, uint64(i)+1, size, amqp.FrameMinSize)
		switch i % 3 {
		case 0:
			b = amqp.AppendHeartbeat(b)
		case 1:
			b = amqp.AppendMethod(b, 0, &amqp.ConnectionBlocked{Reason: "test"})
		}
	}
	return b
}

// seen is what a parser made of a stream.
type seen struct {
	messages int64
	tag      uint64
	stamps   []uint64
	methods  []amqp.MethodID
}

// feed gives the parser the stream in pieces, the way a connection does: what it does not take is
// offered again with more behind it.
func feed(stream []byte, withStamps bool, pieces ...int) (seen, error) {
	var s seen
	p := parser{maxFrame: amqp.FrameMinSize, method: func(id amqp.MethodID, _ []byte) error {
		s.methods = append(s.methods, id)
		return nil
	}}
	if withStamps {
		p.stamp = func(due uint64) { s.stamps = append(s.stamps, due) }
	}
	var window []byte
	for at := 0; at < len(stream); {
		n := len(stream) - at
		if len(pieces) > 0 {
			n, pieces = min(n, pieces[0]), pieces[1:]
		}
		window = append(window, stream[at:at+n]...)
		at += n
		used, err := p.parse(bytes.Clone(window))
		if err != nil {
			return s, err
		}
		window = window[used:]
	}
	if len(window) > 0 {
		return s, errors.New("bytes are left")
	}
	s.messages, s.tag = p.messages, p.tag
	return s, nil
}

func equal(a, b seen) bool {
	return a.messages == b.messages && a.tag == b.tag && slices.Equal(a.stamps, b.stamps) && slices.Equal(a.methods, b.methods)
}

// The parser counts the same wherever the stream is cut: at every byte into two, and into pieces of
// every small size.
func TestParserSplit(t *testing.T) {
	sizes := []int{8, 16, 16, 16, 9, 300, 300, 8}
	b := stream(sizes)
	for _, withStamps := range []bool{false, true} {
		whole, err := feed(b, withStamps)
		if err != nil || whole.messages != 8 || whole.tag != 8 {
			t.Fatalf("whole: %+v, %v", whole, err)
		}
		if withStamps && !slices.Equal(whole.stamps, []uint64{1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000}) {
			t.Errorf("stamps %v", whole.stamps)
		}
		for cut := range b {
			if got, err := feed(b, withStamps, cut, len(b)); err != nil || !equal(got, whole) {
				t.Fatalf("cut at %d: %+v, %v", cut, got, err)
			}
		}
		for size := 1; size < 100; size++ {
			pieces := slices.Repeat([]int{size}, len(b)/size+1)
			if got, err := feed(b, withStamps, pieces...); err != nil || !equal(got, whole) {
				t.Fatalf("pieces of %d: %+v, %v", size, got, err)
			}
		}
	}
}

// Whole messages at once are checked as strictly as frame by frame: with any byte of one broken, both
// ways say the same. Byte by byte a message is never whole.
func TestParserAlike(t *testing.T) {
	var b []byte
	for tag := range uint64(4) {
		b = delivery(b, tag+1, 20, amqp.FrameMinSize)
	}
	single := slices.Repeat([]int{1}, len(b))
	for at := range b {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			broken := bytes.Clone(b)
			broken[at] ^= flip
			whole, err := feed(broken, true)
			frames, framesErr := feed(broken, true, single...)
			if (err == nil) != (framesErr == nil) || err == nil && !equal(whole, frames) {
				t.Fatalf("byte %d ^ %#x: at once %+v, %v; by frame %+v, %v", at, flip, whole, err, frames, framesErr)
			}
		}
	}
}

// Empty bodies and bodies of several frames count as one message each.
func TestParserSizes(t *testing.T) {
	b := stream([]int{0, 1, amqp.FrameMinSize - amqp.FrameOverhead, amqp.FrameMinSize - amqp.FrameOverhead + 1, 50_000, 0})
	whole, err := feed(b, false)
	if err != nil || whole.messages != 6 {
		t.Fatalf("%+v, %v", whole, err)
	}
	for _, size := range []int{1, 7, 8, 9, 4096, 8191, 8192, 8193} {
		if got, err := feed(b, false, slices.Repeat([]int{size}, len(b)/size+1)...); err != nil || !equal(got, whole) {
			t.Errorf("pieces of %d: %+v, %v", size, got, err)
		}
	}
}

func TestParserErrors(t *testing.T) {
	good := delivery(nil, 1, 20, amqp.FrameMinSize)
	method := bytes.IndexByte(good, amqp.FrameEnd)
	header := good[method+1:]
	for _, tt := range []struct {
		name, want string
		b          []byte
	}{
		{"tag skipped", "delivery tag", delivery(bytes.Clone(good), 3, 20, amqp.FrameMinSize)},
		{"frame end", "ends in 0x41", func() []byte { b := bytes.Clone(good); b[len(b)-1] = 'A'; return b }()},
		{"method's end", "ends in 0x41", func() []byte { b := bytes.Clone(good); b[method] = 'A'; return b }()},
		{"frame size", "larger than", []byte{amqp.FrameBody, 0, 1, 0xff, 0, 0, 0, 0}},
		{"frame type", "of type 7", []byte{7, 0, 1, 0, 0, 0, 0, amqp.FrameEnd}},
		{"header first", "content header", header},
		{"body first", "bytes of body", amqp.AppendBody(nil, 1, []byte("x"), amqp.FrameMinSize)},
		{"too much body", "bytes of body", amqp.AppendBody(bytes.Clone(good[:len(good)-28]), 1, make([]byte, 21), amqp.FrameMinSize)},
		{"method in a message", "inside a message", append(bytes.Clone(good[:method+1]), good...)},
		{"short deliver", "ends inside", append([]byte{1, 0, 1, 0, 0, 0, 5, 0, 60, 0, 60, 9}, amqp.FrameEnd)},
	} {
		if _, err := feed(tt.b, false); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
	if _, err := feed(delivery(nil, 1, 7, amqp.FrameMinSize), true); err == nil {
		t.Error("a body without a stamp is taken")
	}
}

// Counting costs no memory.
func TestParserAllocatesNothing(t *testing.T) {
	b := delivery(nil, 1, 16, amqp.FrameMinSize)
	sum := uint64(0)
	p := parser{maxFrame: amqp.FrameMinSize, stamp: func(due uint64) { sum += due }}
	if n := testing.AllocsPerRun(100, func() {
		p.tag = 0
		if used, err := p.parse(b); err != nil || used != len(b) {
			t.Fatal(used, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParser(f *testing.F) {
	f.Add(stream([]int{8, 0, 9000}), 5)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		whole, err := feed(b, false)
		got, cutErr := feed(b, false, max(0, min(cut, len(b))), len(b))
		if (err == nil) != (cutErr == nil) || err == nil && !equal(whole, got) {
			t.Errorf("whole %+v, %v; cut at %d %+v, %v", whole, err, cut, got, cutErr)
		}
	})
}

func BenchmarkParser(b *testing.B) {
	for name, size := range map[string]int{"16B": 16, "1KiB": 1024} {
		b.Run(name, func(b *testing.B) {
			var in []byte
			n := 0
			for ; len(in) < 200<<10; n++ {
				in = delivery(in, uint64(n)+1, size, amqp.FrameMinSize)
			}
			p := parser{maxFrame: amqp.FrameMinSize}
			b.ReportAllocs()
			for range b.N/n + 1 { // an operation is a message
				p.tag = 0
				if used, err := p.parse(in); err != nil || used != len(in) {
					b.Fatal(used, err)
				}
			}
		})
	}
}
