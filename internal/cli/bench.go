package cli

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/warrenmq/warren/internal/bench"
)

func benchCommand(env *Env) *cobra.Command {
	var verbs []*cobra.Command
	scenarios := bench.Scenarios()
	for i := range scenarios {
		verbs = append(verbs, benchScenario(env, &scenarios[i]))
	}
	cmd := noun("bench", "Measure a broker: throughput, latency, backlogs, connections", append(verbs, benchCompare(env))...)
	cmd.Long = "Measures any AMQP 0-9-1 broker, found by --url. Where RabbitMQ's PerfTest has a flag, it is the same here. With --pid,\n" +
		"the broker's process on this machine, the CPU time of a message and the memory are reported too."
	cmd.Example = "  warren bench throughput --autoack --size 16 --pid $(pidof warren)\n" +
		"  warren bench latency --rate 10000 --url amqp://guest:guest@127.0.0.1:5672/\n" +
		"  warren bench compare amqp://127.0.0.1:5672 amqp://127.0.0.1:5673 --scenario confirmed --confirm 100"
	return cmd
}

func benchScenario(env *Env, s *bench.Scenario) *cobra.Command {
	o := s.Defaults
	show := client{env: env, output: "table"}
	cmd := &cobra.Command{
		Use: s.Name, Short: s.Short, Long: s.Long, Example: s.Example, Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := tableOrJSON(show.output); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			r, err := s.Run(ctx, &o)
			if err != nil {
				return benchError(ctx, err)
			}
			t := table{value: r, head: []string{strings.ToUpper(r.Scenario), r.Target, ""}}
			for _, m := range r.Metrics {
				t.rows = append(t.rows, []string{m.Name, m.Text(), m.Unit})
			}
			return show.show(t)
		},
	}
	all := benchFlags(&o)
	for _, name := range append([]string{"url", "pid"}, s.Flags...) {
		cmd.Flags().AddFlag(all.Flags().Lookup(name))
	}
	cmd.Flags().StringVarP(&show.output, "output", "o", show.output, "table or json")
	return cmd
}

func benchCompare(env *Env) *cobra.Command {
	show := client{env: env, output: "table"}
	name, pids, runs := "throughput", "", 5
	var cmd *cobra.Command
	cmd = &cobra.Command{
		Use: "compare URL1 URL2", Short: "Measure two brokers in turn, and say the ratios",
		Long: "Runs a scenario on two brokers, A B A B, and shows the median of each figure with minimum and maximum, and the ratio\n" +
			"of the medians, first to second. All flags of the scenario can be given; the defaults are the scenario's.",
		Example: "  warren bench compare amqp://127.0.0.1:5672 amqp://127.0.0.1:5673 --autoack --size 1024\n" +
			"  warren bench compare URL1 URL2 --pid 4711,4712 --scenario latency --rate 1000 --autoack --runs 7 --output json",
		Args: args("URL1", "URL2"),
		RunE: func(_ *cobra.Command, urls []string) error {
			if err := tableOrJSON(show.output); err != nil {
				return err
			}
			s, o, err := comparedScenario(cmd, name)
			if err != nil {
				return err
			}
			sides := [2]bench.Side{{URL: urls[0]}, {URL: urls[1]}}
			if sides[0].PID, sides[1].PID, err = twoPIDs(pids); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			c, err := s.Compare(ctx, o, sides, runs, func(run int, r *bench.Result) {
				_, _ = fmt.Fprintf(env.Stderr, "run %d of %d on %s is done\n", run, runs, r.Target)
			})
			if err != nil {
				return benchError(ctx, err)
			}
			return show.show(comparison(c))
		},
	}
	shown := bench.Scenarios()[0].Defaults
	all, f := benchFlags(&shown).Flags(), cmd.Flags()
	for _, flag := range benchFlagNames() {
		f.AddFlag(all.Lookup(flag))
	}
	f.StringVar(&name, "scenario", name, "what to run; see 'warren bench --help'")
	f.StringVar(&pids, "pid", pids, "process ids of the two brokers, P1,P2")
	f.IntVar(&runs, "runs", runs, "runs on each")
	f.StringVarP(&show.output, "output", "o", show.output, "table or json")
	return cmd
}

// comparison is the table of a comparison.
func comparison(c *bench.Comparison) table {
	t := table{value: c, head: []string{strings.ToUpper(c.Scenario), c.A, c.B, "RATIO", ""}}
	for _, m := range c.Metrics {
		t.rows = append(t.rows, []string{m.Name, m.A.Text(), m.B.Text(), m.RatioText(), m.Unit})
	}
	return t
}

// comparedScenario takes the scenario's defaults and the flags that were given.
func comparedScenario(given *cobra.Command, name string) (*bench.Scenario, *bench.Options, error) {
	s, err := bench.Find(name)
	if err != nil {
		return nil, nil, usageError{err}
	}
	o := s.Defaults
	own := benchFlags(&o).Flags()
	for _, flag := range benchFlagNames() {
		f := given.Flags().Lookup(flag)
		if !f.Changed {
			continue
		}
		if !slices.Contains(s.Flags, flag) {
			return nil, nil, usageError{fmt.Errorf("the scenario %s has no flag --%s", name, flag)}
		}
		if err := own.Set(flag, f.Value.String()); err != nil {
			return nil, nil, usageError{err}
		}
	}
	return s, &o, nil
}

// benchFlagNames are the flags of all scenarios.
func benchFlagNames() []string {
	var names []string
	for _, s := range bench.Scenarios() {
		names = append(names, s.Flags...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// benchFlags makes every flag of the scenarios, for commands to pick theirs from.
func benchFlags(o *bench.Options) *cobra.Command {
	cmd := &cobra.Command{}
	f := cmd.Flags()
	f.StringVar(&o.URL, "url", o.URL, "the broker, amqp://user:password@host:port/vhost")
	f.IntVar(&o.PID, "pid", o.PID, "the broker's process id, for its CPU time and memory")
	f.IntVarP(&o.Producers, "producers", "x", o.Producers, "producers in all; 0: one a queue")
	f.IntVarP(&o.Consumers, "consumers", "y", o.Consumers, "consumers in all; 0: none, for fanout and queues one a queue")
	f.IntVarP(&o.Size, "size", "s", o.Size, "bytes of a message")
	f.Float64VarP(&o.Rate, "rate", "r", o.Rate, "messages a second of each producer; 0: as fast as it goes")
	f.IntVarP(&o.Count, "pmessages", "C", o.Count, "messages of each producer, instead of --time; 0: no limit")
	f.IntVar(&o.Count, "connections", o.Count, "connections to hold")
	f.IntVarP(&o.Confirm, "confirm", "c", o.Confirm, "publishes that may be unconfirmed; 0: no confirms")
	f.StringVarP(&o.Flag, "flag", "f", o.Flag, "persistent, or nothing")
	f.IntVarP(&o.Qos, "qos", "q", o.Qos, "prefetch of each consumer; 0: no limit")
	f.BoolVarP(&o.AutoAck, "autoack", "a", o.AutoAck, "consume without acknowledging")
	f.IntVarP(&o.MultiAckEvery, "multi-ack-every", "A", o.MultiAckEvery, "acknowledge so many messages at once")
	f.VarP((*span)(&o.Time), "time", "z", "how long to measure")
	f.Var((*span)(&o.Warm), "warm", "how long to run before")
	f.Var((*span)(&o.Grace), "grace", "how long to wait afterwards for what is under way")
	f.StringVarP(&o.Queue, "queue", "u", o.Queue, "name of the one queue, which must not exist")
	f.StringVar(&o.QueuePattern, "queue-pattern", o.QueuePattern, "names of the queues; %d is the number")
	f.IntVar(&o.PatternFrom, "queue-pattern-from", o.PatternFrom, "first number")
	f.IntVar(&o.PatternTo, "queue-pattern-to", o.PatternTo, "last number; 0: as many as --queues says")
	f.IntVar(&o.Queues, "queues", o.Queues, "how many queues")
	f.StringVar(&o.QueueArgs, "queue-args", o.QueueArgs, "arguments of the queues, key=value,key=value")
	f.IntVar(&o.Bindings, "bindings", o.Bindings, "bindings of the topic exchange")
	f.IntVar(&o.Concurrency, "concurrency", o.Concurrency, "how many work at a time")
	f.BoolVar(&o.Keep, "keep", o.Keep, "leave the queues and what is in them")
	return cmd
}

// span is a duration; a bare number is seconds, as PerfTest has it.
type span time.Duration

// String returns the duration.
func (s *span) String() string { return time.Duration(*s).String() }

// Set reads it.
func (s *span) Set(text string) error {
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		*s = span(n * float64(time.Second))
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return errors.New("it is neither seconds nor a duration such as 1m30s")
	}
	*s = span(d)
	return nil
}

// Type is what the help calls the value.
func (s *span) Type() string { return "seconds" }

// twoPIDs reads P1,P2; nothing is none.
func twoPIDs(s string) (a, b int, err error) {
	if s == "" {
		return 0, 0, nil
	}
	first, second, ok := strings.Cut(s, ",")
	if ok {
		if a, err = strconv.Atoi(first); err == nil {
			b, err = strconv.Atoi(second)
		}
	}
	if !ok || err != nil {
		return 0, 0, usageError{fmt.Errorf("--pid %q is not two process ids, P1,P2", s)}
	}
	return a, b, nil
}

func tableOrJSON(output string) error {
	if output != "table" && output != "json" {
		return usageError{fmt.Errorf("--output %s is none of table, json", output)}
	}
	return nil
}

// benchError tells what was not understood from what went wrong.
func benchError(ctx context.Context, err error) error {
	if invalid, ok := errors.AsType[*bench.InvalidError](err); ok {
		return usageError{invalid}
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}
