package storage_test

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"testing"
	"time"

	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/queue"
	"github.com/warrenmq/warren/internal/slab"
	"github.com/warrenmq/warren/internal/storage"
	"github.com/warrenmq/warren/internal/vfs"
)

// keeper publishes numbered messages to a node.
type keeper struct {
	t    *testing.T
	n    *node
	pub  *broker.Publisher
	next uint64
}

func (k *keeper) publish(name string, count, size int, persistent bool) {
	k.t.Helper()
	done := make(chan error, 1)
	for range count {
		k.next++
		c := broker.Content{Key: name, Body: append(binary.BigEndian.AppendUint64(nil, k.next), make([]byte, size)...)}
		if persistent {
			c.Properties.DeliveryMode = 2
		}
		m, err := broker.Compose(&c, 1<<17)
		if err != nil {
			k.t.Fatal(err)
		}
		if n, failed := k.pub.Publish(&m); n != 1 || failed != nil {
			k.t.Fatalf("published to %d queues: %v", n, failed)
		}
	}
	if _, logged := k.pub.Flush(func(err error) { done <- err }, true); !logged {
		return
	}
	if err := <-done; err != nil {
		k.t.Fatal(err)
	}
}

// settle waits until no more than limit bytes are in memory.
func (k *keeper) settle(limit int64) {
	k.t.Helper()
	for range 2000 {
		if k.n.server.Broker().Memory().Used() <= limit {
			return
		}
		time.Sleep(time.Millisecond)
	}
	k.t.Fatalf("%d bytes stay in memory", k.n.server.Broker().Memory().Used())
}

// TestKeep: messages that lie together in the journal stay there and are read as
// they were; of those among others' a copy is made.
func TestKeep(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	st, _, err := storage.Open(storage.Options{FS: fs, Dir: "data", Random: rand.Reader, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}()
	const queues, each, size = 40, 50, 5000
	kept := map[uint64][]queue.Kept{}
	put := func(uids ...uint64) {
		var b broker.Batch
		for i, uid := range uids {
			seq := uint64(len(kept[uid]))
			image := bytes.Repeat([]byte{byte(uid), byte(seq)}, size/2)
			m := queue.Message{Slab: slab.Adopt(image), Size: size, RouteLen: uint16(seq), Persistent: true, Dead: seq%2 > 0}
			kept[uid] = append(kept[uid], queue.Kept{Message: m, Seq: seq})
			b.Images = append(b.Images, image)
			b.Places = append(b.Places, broker.Place{Image: i, Queue: uid, Seq: seq, RouteLen: int(m.RouteLen), Dead: m.Dead})
		}
		done := make(chan error, 1)
		st.Append(b, func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	all := make([]uint64, 0, queues)
	for uid := range uint64(queues) {
		all = append(all, uid+2)
	}
	for i := range each {
		put(1, 1, 1) // a queue by itself
		if i%5 == 0 {
			put(all...) // many at once
		}
	}
	for uid, inLog := range map[uint64]bool{1: true, 2: false, queues: false} {
		var cold broker.Cold
		if err := st.Keep(uid, kept[uid], func(c broker.Cold) { cold = c }); err != nil {
			t.Fatal(err)
		}
		if cold.InLog() != inLog {
			t.Errorf("queue %d: in the log: %t", uid, cold.InLog())
		}
		got, err := cold.Read()
		if err != nil || len(got) != len(kept[uid]) {
			t.Fatalf("queue %d: %d messages of %d: %v", uid, len(got), len(kept[uid]), err)
		}
		for i, want := range kept[uid] {
			if !bytes.Equal(got[i].Slab.Bytes(got[i].Off, got[i].Size), want.Slab.Bytes(0, size)) {
				t.Fatalf("queue %d: message %d has another image", uid, i)
			}
			got[i].Slab, got[i].Off, want.Slab = nil, 0, nil
			if got[i] != want {
				t.Errorf("queue %d: message %d is %+v, want %+v", uid, i, got[i], want)
			}
		}
		cold.Free()
	}
}

// TestStay: a backlog that lies together in the journal stays in order, and
// survives that the journal turns over several times.
func TestStay(t *testing.T) {
	t.Parallel()
	fs := first().Clone()
	const segment, memory, count = 64 << 10, 256 << 10, 2000
	n, err := open(fs, segment, memory, newModel().now)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	}()
	for _, name := range []string{"deep", "busy"} {
		if _, failed := n.vhost.DeclareQueue(n.actor, broker.QueueDeclare{Name: name, Durable: true}); failed != nil {
			t.Fatal(failed)
		}
	}
	k := &keeper{t: t, n: n, pub: n.vhost.NewPublisher()}
	for range count / 100 {
		k.publish("deep", 100, 1000, true)
		k.settle(memory)
	}
	before, err := fs.List("data/journal")
	if err != nil {
		t.Fatal(err)
	}
	for range 200 { // others' messages come and go
		k.publish("busy", 40, 1000, true)
		for range 40 {
			q, d, _, ok, failed := n.vhost.Get(n.actor, "busy", false, nil)
			if failed != nil || !ok {
				t.Fatal(ok, failed)
			}
			q.Settle(nil, []uint64{d.Seq})
		}
	}
	after, err := fs.List("data/journal")
	if err != nil {
		t.Fatal(err)
	}
	if before[0] == after[0] {
		t.Error("the journal did not turn over")
	}
	for want := uint64(1); want <= count; want++ {
		_, d, _, ok, failed := n.vhost.Get(n.actor, "deep", true, nil)
		if failed != nil || !ok {
			t.Fatalf("message %d: %t, %v", want, ok, failed)
		}
		if id, err := identify(&d); err != nil || id != want || d.Redelivered {
			t.Fatalf("message %d is %d, redelivered: %t, %v", want, id, d.Redelivered, err)
		}
	}
	if n.ended.Load() {
		t.Error("the node has ended")
	}
}

// TestStayAsItIs: what the journal does not have, or not as it is, is copied.
func TestStayAsItIs(t *testing.T) {
	t.Parallel()
	fs := first().Clone()
	n, err := open(fs, 64<<10, 256<<10, newModel().now)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	}()
	if _, failed := n.vhost.DeclareQueue(n.actor, broker.QueueDeclare{Name: "deep", Durable: true}); failed != nil {
		t.Fatal(failed)
	}
	k := &keeper{t: t, n: n, pub: n.vhost.NewPublisher()}
	k.publish("deep", 100, 1000, true)
	var seqs []uint64
	deep, _ := n.vhost.Queue("deep")
	for range 50 {
		_, d, _, ok, failed := n.vhost.Get(n.actor, "deep", false, nil)
		if failed != nil || !ok {
			t.Fatal(ok, failed)
		}
		seqs = append(seqs, d.Seq)
	}
	deep.Return(nil, seqs)
	for i := range 30 {
		k.publish("deep", 50, 1000, i%3 > 0)
	}
	k.settle(256 << 10)
	for want := uint64(1); want <= 1600; want++ {
		_, d, _, ok, failed := n.vhost.Get(n.actor, "deep", true, nil)
		if failed != nil || !ok {
			t.Fatalf("message %d: %t, %v", want, ok, failed)
		}
		id, err := identify(&d)
		if err != nil || id != want {
			t.Fatalf("message %d is %d, %v", want, id, err)
		}
		if persistent := want <= 100 || (want-101)/50%3 > 0; d.Redelivered != (want <= 50) || d.Persistent != persistent {
			t.Fatalf("message %d: redelivered %t, persistent %t", want, d.Redelivered, d.Persistent)
		}
	}
}
