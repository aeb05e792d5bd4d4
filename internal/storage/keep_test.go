package storage_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/vfs"
)

// keeper publishes numbered messages to a node.
type keeper struct {
	t    *testing.T
	n    *node
	pub  *broker.Publisher
	next uint64
}

func (k *keeper) publish(queue string, count, size int, persistent bool) {
	k.t.Helper()
	done := make(chan error, 1)
	for range count {
		k.next++
		c := broker.Content{Key: queue, Body: append(binary.BigEndian.AppendUint64(nil, k.next), make([]byte, size)...)}
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

func size(t *testing.T, fs *vfs.Mem, dir string) (bytes int64) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := vfs.Read(fs, dir+"/"+name)
		if err == nil { // it may go meanwhile
			bytes += int64(len(b))
		}
	}
	return bytes
}

// TestStay: a backlog that lies together in the journal is not copied, stays
// in order, and survives that the journal turns over several times.
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
	// What is not in the journal yet when it has to leave is copied: how much that is, is chance.
	if copied := size(t, fs, "data/backlog"); copied > count*1000*3/4 {
		t.Errorf("%d bytes of %d were copied", copied, count*1000)
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
