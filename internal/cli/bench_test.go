package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/warrenmq/warren/internal/bench"
	"github.com/warrenmq/warren/warrentest"
)

// PerfTest's flags mean what they mean there, and each scenario has those that it uses.
func TestBenchFlags(t *testing.T) {
	for _, tt := range []struct {
		scenario, flags string
		want            func(*bench.Options)
	}{
		{"throughput", "-x 2 -y 3 -s 100 -r 1.5 -q 10 -c 5 -a -A 7 -f persistent -z 30 -C 9 -u mine", func(o *bench.Options) {
			o.Producers, o.Consumers, o.Size, o.Rate, o.Qos, o.Confirm, o.AutoAck, o.MultiAckEvery = 2, 3, 100, 1.5, 10, 5, true, 7
			o.Flag, o.Time, o.Count, o.Queue = "persistent", 30*time.Second, 9, "mine"
		}},
		{"latency", "--rate 10000 --time 1m30s --warm 0.5 --grace 1s --pid 12 --url amqp://h", func(o *bench.Options) {
			o.Rate, o.Time, o.Warm, o.Grace, o.PID, o.URL = 10000, 90*time.Second, 500*time.Millisecond, time.Second, 12, "amqp://h"
		}},
		{"queues", "--queue-pattern p-%d --queue-pattern-from 3 --queue-pattern-to 5 --queue-args x-queue-type=quorum", func(o *bench.Options) {
			o.QueuePattern, o.PatternFrom, o.PatternTo, o.QueueArgs = "p-%d", 3, 5, "x-queue-type=quorum"
		}},
		{"topic", "--bindings 5 --queues 2", func(o *bench.Options) { o.Bindings, o.Queues = 5, 2 }},
		{"backlog", "--pmessages 5 --keep", func(o *bench.Options) { o.Count, o.Keep = 5, true }},
		{"idle", "--connections 5 --concurrency 2", func(o *bench.Options) { o.Count, o.Concurrency = 5, 2 }},
		{"confirmed", "", func(*bench.Options) {}},
	} {
		s, err := bench.Find(tt.scenario)
		if err != nil {
			t.Fatal(err)
		}
		got, want := s.Defaults, s.Defaults
		tt.want(&want)
		flags := benchFlags(&got).Flags()
		if err := flags.Parse(strings.Fields(tt.flags)); err != nil || got != want {
			t.Errorf("%s %s:\n got %+v, %v\nwant %+v", tt.scenario, tt.flags, got, err, want)
		}
	}
}

func TestBenchCommands(t *testing.T) {
	b := warrentest.Start(t)
	at := "--url=amqp://guest:guest@" + b.Listen()
	code, out, errs := run(t, "none", "", "bench", "throughput", "-a", "-C", "1000", at)
	if code != 0 || !strings.Contains(out, "delivered_total") || !strings.HasPrefix(out, "THROUGHPUT") {
		t.Errorf("exit %d, %s%s", code, out, errs)
	}
	code, out, errs = run(t, "none", "", "bench", "confirmed", "-C", "100", "-o", "json", at)
	var r struct {
		Scenario  string
		Delivered int `json:"delivered_total"`
		Confirmed int `json:"confirmed_total"`
	}
	if err := json.Unmarshal([]byte(out), &r); code != 0 || err != nil || r.Scenario != "confirmed" || r.Delivered != 100 || r.Confirmed != 100 {
		t.Errorf("exit %d, %s%s: %+v, %v", code, out, errs, r, err)
	}
	urls := []string{"amqp://" + b.Listen(), "amqp://" + b.Listen()}
	code, out, errs = run(t, "none", "", append([]string{"bench", "compare", "--scenario", "churn-channel", "-C", "5", "--runs", "2"}, urls...)...)
	if code != 0 || !strings.HasPrefix(out, "CHURN-CHANNEL") || !strings.Contains(out, "RATIO") ||
		!strings.Contains(errs, "run 2 of 2 on "+strings.TrimPrefix(urls[1], "amqp://")) {
		t.Errorf("exit %d, %s%s", code, out, errs)
	}
}

func TestBenchMistakes(t *testing.T) {
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"bench nothing", exitUsage, `no command "nothing"`},
		{"bench throughput --bindings 3", exitUsage, "bindings"},
		{"bench throughput extra", exitUsage, "too many"},
		{"bench throughput --time soon", exitUsage, "neither seconds nor a duration"},
		{"bench throughput --output xml", exitUsage, "none of table, json"},
		{"bench throughput --url http://h", exitUsage, "amqp://user:password@host:port/vhost"},
		{"bench throughput --qos 5 -A 10", exitUsage, "never acknowledge"},
		{"bench latency --rate 0", exitUsage, "latency needs a --rate"},
		{"bench throughput --url amqp://127.0.0.1:1", exitFailed, "no connection to 127.0.0.1:1"},
		{"bench compare amqp://h", exitUsage, "URL2 is missing"},
		{"bench compare amqp://h amqp://i --scenario none", exitUsage, `no scenario "none"`},
		{"bench compare amqp://h amqp://i --bindings 5", exitUsage, "no flag --bindings"},
		{"bench compare amqp://h amqp://i --pid 5", exitUsage, "P1,P2"},
		{"bench compare amqp://h amqp://i --runs 0", exitUsage, "--runs"},
	} {
		code, _, errs := run(t, "none", "", strings.Fields(tt.args)...)
		if code != tt.code || !strings.Contains(errs, tt.want) {
			t.Errorf("warren %s: exit %d, %s", tt.args, code, errs)
		}
	}
}
