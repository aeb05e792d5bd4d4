package bench

import (
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/warrenmq/warren/warrentest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// short are the options of a scenario for a test: the broker is in this process, and little is sent.
func short(t *testing.T, b *warrentest.Broker, s *Scenario, change func(*Options)) *Options {
	t.Helper()
	o := s.Defaults
	o.URL, o.PID = "amqp://guest:guest@"+b.Listen()+"/", os.Getpid()
	o.Warm, o.Time, o.Grace = 20*time.Millisecond, 100*time.Millisecond, 30*time.Second
	if change != nil {
		change(&o)
	}
	return &o
}

// measure runs a scenario and returns a function for its figures, which must exist.
func measure(t *testing.T, b *warrentest.Broker, name string, change func(*Options)) func(string) float64 {
	t.Helper()
	s, err := Find(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Run(t.Context(), short(t, b, s, change))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return func(figure string) float64 {
		t.Helper()
		v, ok := r.Value(figure)
		if !ok {
			t.Errorf("%s does not report %s: %+v", name, figure, r.Metrics)
		}
		return v
	}
}
