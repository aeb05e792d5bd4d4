package amqp

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParsePublish(t *testing.T) {
	long := strings.Repeat("k", 255)
	for _, tt := range []struct {
		args string
		want Publish
	}{
		{
			"\x00\x00\x02ex\x03key\x00",
			Publish{Route: []byte("\x02ex\x03key"), Exchange: []byte("ex"), RoutingKey: []byte("key")},
		},
		{
			"\xff\xff\x00\x00\x01",
			Publish{Route: []byte("\x00\x00"), Exchange: []byte{}, RoutingKey: []byte{}, Mandatory: true},
		},
		{
			"\x00\x00\x00\xff" + long + "\xfe",
			Publish{Route: []byte("\x00\xff" + long), Exchange: []byte{}, RoutingKey: []byte(long), Immediate: true},
		},
	} {
		got, err := ParsePublish([]byte(tt.args))
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("ParsePublish(%q): %v (-want +got):\n%s", tt.args, err, diff)
		}
	}
}

func TestParsePublishError(t *testing.T) {
	const whole = "\x00\x00\x02ex\x03key\x00"
	for cut := range whole {
		if _, err := ParsePublish([]byte(whole[:cut])); !errors.Is(err, ErrTruncated) {
			t.Errorf("ParsePublish of %d bytes: %v, want ErrTruncated", cut, err)
		}
	}
	for _, tt := range []struct {
		args string
		want error
	}{
		{whole + "\x00", ErrTrailing},
		{"\x00\x00\x01\xff\x01k\x00", ErrUTF8},
		{"\x00\x00\x01e\x01\xff\x00", ErrUTF8},
	} {
		if got, err := ParsePublish([]byte(tt.args)); !errors.Is(err, tt.want) || got.Route != nil {
			t.Errorf("ParsePublish(%q) = %v, %v, want %v", tt.args, got, err, tt.want)
		}
	}
}
