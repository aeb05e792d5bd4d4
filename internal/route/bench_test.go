package route

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"
)

// benchmarkMatch fails when nothing matches, unless m is one that is not to match.
func benchmarkMatch(b *testing.B, name string, table Table[int], m Message) {
	b.Helper()
	b.Run(name, func(b *testing.B) {
		dst := table.Match(m, nil)
		b.ReportAllocs()
		for b.Loop() {
			dst = table.Match(m, dst[:0])
		}
		b.ReportMetric(float64(len(dst)), "dests")
	})
}

func BenchmarkDirect(b *testing.B) {
	for _, n := range []int{1, 1000, 100_000} {
		table := newTable(b, "direct")
		for i := range n {
			table = table.Bind(Binding[int]{Key: fmt.Sprintf("key-%d", i), Dest: i})
		}
		benchmarkMatch(b, strconv.Itoa(n), table, message(fmt.Sprintf("key-%d", n/2), nil))
	}
}

func BenchmarkFanout(b *testing.B) {
	for _, n := range []int{1, 10, 1000, 100_000} {
		table := newTable(b, "fanout")
		for i := range n {
			table = table.Bind(Binding[int]{Dest: i})
		}
		benchmarkMatch(b, strconv.Itoa(n), table, message("k", nil))
	}
}

// BenchmarkBind adds one binding after the other to one table: run it with -benchtime 1000000x to
// see what the first million costs. B/binding is what they take in the end.
func BenchmarkBind(b *testing.B) {
	for _, kind := range kinds {
		b.Run(kind, func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			table := newTable(b, kind)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				table = table.Bind(Binding[int]{
					Key:  fmt.Sprintf("r%d.*.x", i),
					Args: args("id", int32(i)),
					Dest: i,
				})
			}
			b.StopTimer()
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(table.Len()), "B/binding")
		})
	}
}
