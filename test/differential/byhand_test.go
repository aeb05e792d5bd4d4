package differential_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/warrenmq/warren/amqp"
)

// byHand are conversations about what chance seldom meets.
func byHand() (list []*script) {
	for i, ops := range [][]op{
		{ // consumers are told that their queue is deleted, and forget their tags
			on(0, 1, &amqp.QueueDeclare{Queue: "q1"}), on(0, 1, &amqp.BasicConsume{Queue: "q1", ConsumerTag: "t1"}),
			on(0, 2, &amqp.BasicConsume{Queue: "q1", ConsumerTag: "t1"}), on(1, 1, &amqp.QueueDelete{Queue: "q1"}),
			on(0, 1, &amqp.QueueDeclare{Queue: "q1"}), on(0, 1, &amqp.BasicConsume{Queue: "q1", ConsumerTag: "t1"}),
			on(0, 1, &amqp.BasicConsume{Queue: "q1", ConsumerTag: "t1"}),
		},
		{ // exclusive queues: every way to touch them, and their end
			on(0, 1, &amqp.QueueDeclare{Queue: "q1", Exclusive: true}), on(1, 1, &amqp.QueueDeclare{Queue: "q1", Exclusive: true}),
			on(1, 1, &amqp.QueueDeclare{Queue: "q1", Passive: true}), on(1, 1, &amqp.BasicGet{Queue: "q1"}),
			on(1, 1, &amqp.BasicConsume{Queue: "q1", ConsumerTag: "t1"}), on(1, 1, &amqp.QueuePurge{Queue: "q1"}),
			on(1, 1, &amqp.QueueDelete{Queue: "q1"}), on(1, 1, &amqp.QueueBind{Queue: "q1", Exchange: "amq.direct"}),
			on(1, 1, publish{amqp.BasicPublish{RoutingKey: "q1", Mandatory: true}, amqp.Properties{}, "m1"}),
			on(0, 1, &amqp.QueueDeclare{Queue: "q1"}), on(0, 1, hangUp{}), on(1, 1, &amqp.QueueDeclare{Queue: "q1", Passive: true}),
		},
		{ // direct reply-to and what is wrong with it
			on(0, 1, publish{amqp.BasicPublish{RoutingKey: "q1"}, amqp.Properties{ReplyTo: "amq.rabbitmq.reply-to"}, "m1"}),
			on(0, 1, &amqp.BasicConsume{Queue: "amq.rabbitmq.reply-to", ConsumerTag: "t1"}),
			on(0, 1, &amqp.BasicConsume{Queue: "amq.rabbitmq.reply-to", ConsumerTag: "t1", NoAck: true}),
			on(0, 1, &amqp.BasicConsume{Queue: "amq.rabbitmq.reply-to", ConsumerTag: "t2", NoAck: true}),
			on(0, 1, &amqp.QueueBind{Queue: "amq.rabbitmq.reply-to", Exchange: "amq.direct"}),
			on(0, 1, &amqp.BasicConsume{Queue: "amq.rabbitmq.reply-to", ConsumerTag: "t1", NoAck: true}),
			on(0, 1, publish{amqp.BasicPublish{RoutingKey: "q1"}, amqp.Properties{ReplyTo: "amq.rabbitmq.reply-to"}, "m1"}),
			on(0, 1, publish{amqp.BasicPublish{RoutingKey: "amq.rabbitmq.reply-to.gone", Mandatory: true}, amqp.Properties{}, "m2"}),
			on(0, 1, &amqp.BasicCancel{ConsumerTag: "t1"}),
		},
		{ // user-id, priorities of consumers, single active consumer
			on(0, 1, publish{amqp.BasicPublish{RoutingKey: "q1"}, amqp.Properties{UserID: "guest"}, "m1"}),
			on(0, 1, publish{amqp.BasicPublish{RoutingKey: "q1"}, amqp.Properties{UserID: "bob"}, "m1"}),
			on(0, 1, &amqp.QueueDeclare{Queue: "q1", Arguments: amqp.Table{{Key: "x-single-active-consumer", Value: true}}}),
			on(0, 1, &amqp.BasicConsume{Queue: "q1", ConsumerTag: "t1"}), on(1, 1, &amqp.BasicConsume{Queue: "q1", ConsumerTag: "t2"}),
			on(1, 2, &amqp.BasicConsume{Queue: "q1", ConsumerTag: "t3", Exclusive: true}),
			on(0, 2, publish{amqp.BasicPublish{RoutingKey: "q1"}, amqp.Properties{}, "m2"}), on(0, 1, &amqp.ChannelClose{ReplyCode: 200}),
			on(1, 1, settle{how: "ack"}), on(0, 2, publish{amqp.BasicPublish{RoutingKey: "q1"}, amqp.Properties{}, "m3"}),
		},
		{ // a cycle of dead letters ends, one with a rejection goes on
			on(0, 1, &amqp.QueueDeclare{Queue: "q1", Arguments: letters("q2", 30)}), on(0, 1, &amqp.QueueDeclare{Queue: "q2", Arguments: letters("q1", 30)}),
			on(0, 1, publish{amqp.BasicPublish{RoutingKey: "q1"}, amqp.Properties{}, "m1"}), on(0, 1, pause(400*time.Millisecond)),
			on(0, 1, &amqp.QueueDeclare{Queue: "q1", Passive: true}), on(0, 1, &amqp.QueueDeclare{Queue: "q2", Passive: true}),
			on(0, 1, &amqp.QueueDeclare{Queue: "q3", Arguments: letters("q3", 0)}), on(0, 1, &amqp.BasicConsume{Queue: "q3", ConsumerTag: "t1"}),
			on(0, 1, publish{amqp.BasicPublish{RoutingKey: "q3"}, amqp.Properties{}, "m2"}), on(0, 1, settle{how: "nack"}),
			on(0, 1, settle{how: "reject"}), on(0, 1, settle{how: "nack"}), on(0, 1, settle{how: "ack"}),
		},
		{ // errors of the connection
			on(0, 1, &amqp.BasicQos{PrefetchSize: 10}), on(0, 1, &amqp.ChannelFlow{}), on(0, 1, &amqp.ChannelFlow{Active: true}),
			on(0, 1, &amqp.BasicRecover{}), on(0, 1, publish{amqp.BasicPublish{RoutingKey: "q1", Immediate: true}, amqp.Properties{}, "m"}),
			on(0, 1, &amqp.ConnectionUpdateSecret{NewSecret: []byte("x"), Reason: "why"}), on(0, 1, &amqp.ChannelOpen{}),
			on(0, 0, &amqp.ChannelOpen{}), on(0, 1, &amqp.QueueDeclareOk{}),
		},
		selfDying(0), selfDying(1), selfDying(2), selfDying(3),
		{ // quorum queues: priorities, and what comes back
			on(0, 1, quorum("q1")), on(0, 1, ranked(1, 1)), on(0, 1, ranked(2, 9)), on(0, 1, ranked(3, 0)), on(0, 1, ranked(4, 40)), on(0, 1, ranked(5, 31)),
			on(0, 1, publish{amqp.BasicPublish{RoutingKey: "q1"}, amqp.Properties{Flags: amqp.FlagPriority}, "zero"}),
			on(0, 1, &amqp.BasicGet{Queue: "q1"}), on(0, 1, &amqp.BasicGet{Queue: "q1"}), on(0, 1, &amqp.BasicGet{Queue: "q1"}),
			on(0, 1, settle{pick: 2, how: "nack", requeue: true}), on(0, 1, settle{pick: 0, how: "nack", requeue: true}), on(0, 1, ranked(6, 200)),
			on(0, 1, &amqp.BasicConsume{Queue: "q1", ConsumerTag: "t1"}),
			on(0, 1, settle{pick: 4, how: "reject", requeue: true}), on(0, 1, settle{pick: 1, how: "nack", multiple: true, requeue: true}),
		},
		quorumLetters(),
		{ // bytes of bodies
			on(0, 1, &amqp.QueueDeclare{Queue: "q1", Arguments: amqp.Table{{Key: "x-max-length-bytes", Value: int32(10)}}}),
			on(0, 1, sized(4)), on(0, 1, sized(6)), on(0, 1, &amqp.QueueDeclare{Queue: "q1", Passive: true}), on(0, 1, sized(1)),
			on(0, 1, &amqp.QueueDeclare{Queue: "q1", Passive: true}), on(0, 1, sized(11)), on(0, 1, &amqp.QueueDeclare{Queue: "q1", Passive: true}),
			on(0, 1, &amqp.QueueDeclare{Queue: "q2", Arguments: amqp.Table{{Key: "x-max-length-bytes", Value: int32(0)}}}),
		},
		{ // consumers are served in turn, also by a queue that refuses
			on(0, 1, &amqp.QueueDeclare{Queue: "q1", Arguments: amqp.Table{{Key: "x-max-length", Value: int32(1)}, {Key: "x-overflow", Value: "reject-publish"}}}),
			on(0, 1, &amqp.BasicConsume{Queue: "q1", ConsumerTag: "t1"}), on(0, 1, plain(1)), on(0, 1, &amqp.BasicConsume{Queue: "q1", ConsumerTag: "t2"}),
			on(0, 1, plain(2)), on(0, 1, plain(3)), on(0, 1, settle{pick: 1, how: "nack", requeue: true}), on(0, 1, plain(4)), on(0, 1, plain(5)),
			on(0, 1, &amqp.BasicQos{PrefetchCount: 1}), on(0, 1, &amqp.BasicConsume{Queue: "q1", ConsumerTag: "t3"}), on(0, 1, plain(6)),
			on(0, 1, plain(7)), on(0, 1, plain(8)), on(0, 1, settle{pick: 5, how: "ack"}), on(0, 1, plain(9)), on(0, 1, plain(10)),
		},
	} {
		prefix := fmt.Sprintf("hand%d.", i+1)
		s := &script{seed: uint64(i + 1), prefix: prefix, queues: []string{"q1", "q2", "q3"}, ops: ops}
		list = append(list, s)
	}
	return list
}

func on(conn int, channel uint16, do any) op { return op{conn: conn, channel: channel, do: do} }

// selfDying is a queue of a bounded length that is its own dead letter target.
func selfDying(length int32) []op {
	args := append(letters("q1", 0), amqp.Field{Key: "x-max-length", Value: length})
	return []op{
		on(0, 1, &amqp.QueueDeclare{Queue: "q1", Arguments: args}), on(0, 1, plain(1)), on(0, 1, plain(2)), on(0, 1, plain(3)), on(0, 1, plain(4)),
		on(0, 1, plain(5)), on(0, 1, &amqp.BasicConsume{Queue: "q1", ConsumerTag: "t1"}), on(0, 1, plain(6)), on(0, 1, plain(7)),
		on(0, 1, settle{pick: 1, how: "nack"}), on(0, 1, settle{pick: 1, how: "nack", requeue: true}), on(0, 1, settle{pick: 0, how: "nack"}),
		on(0, 2, &amqp.ConfirmSelect{}), on(0, 2, plain(8)), on(0, 1, hangUp{}),
	}
}

// quorumLetters are dead letters of a quorum queue.
func quorumLetters() []op {
	q := quorum("q1")
	q.Arguments = append(q.Arguments, letters("q2", 0)...)
	q.Arguments = append(q.Arguments, amqp.Field{Key: "x-max-length", Value: int32(3)})
	return []op{
		on(0, 1, q), on(0, 1, &amqp.QueueDeclare{Queue: "q2"}), on(0, 1, plain(1)), on(0, 1, plain(2)), on(0, 1, plain(3)),
		on(0, 1, &amqp.BasicConsume{Queue: "q1", ConsumerTag: "t1"}), on(0, 1, settle{pick: 0, how: "reject"}), on(0, 1, settle{pick: 0, how: "nack"}),
		on(0, 1, settle{pick: 0, how: "reject", requeue: true}), on(0, 1, settle{pick: 0, how: "reject"}), on(0, 1, &amqp.BasicCancel{ConsumerTag: "t1"}),
		on(0, 1, plain(4)), on(0, 1, plain(5)), on(0, 1, plain(6)), on(0, 1, plain(7)), on(0, 1, plain(8)),
		on(0, 1, &amqp.BasicGet{Queue: "q2"}), on(0, 1, settle{pick: 0, how: "reject", requeue: true}), on(0, 1, &amqp.BasicConsume{Queue: "q2", ConsumerTag: "t2"}),
		on(0, 1, &amqp.BasicConsume{Queue: "q1", ConsumerTag: "t1"}), on(0, 1, settle{pick: 0, how: "reject"}), on(0, 1, settle{pick: 1, how: "reject"}),
	}
}

func quorum(name string) *amqp.QueueDeclare {
	return &amqp.QueueDeclare{Queue: name, Durable: true, Arguments: amqp.Table{{Key: "x-queue-type", Value: "quorum"}}}
}

// plain, ranked and sized are messages for q1.
func plain(n int) publish { return ranked(n, 0) }

func ranked(n int, priority uint8) publish {
	return publish{amqp.BasicPublish{RoutingKey: "q1", Mandatory: true}, amqp.Properties{Priority: priority}, fmt.Sprintf("m%02d", n)}
}

func sized(n int) publish {
	header := amqp.Table{{Key: "h", Value: strings.Repeat("x", 300)}}
	return publish{amqp.BasicPublish{RoutingKey: "q1", Mandatory: true}, amqp.Properties{Headers: header}, strings.Repeat("b", n)}
}

// letters are the arguments of a queue whose dead letters go to another.
func letters(to string, ttl int32) amqp.Table {
	t := amqp.Table{{Key: "x-dead-letter-exchange", Value: ""}, {Key: "x-dead-letter-routing-key", Value: to}}
	if ttl > 0 {
		t = append(t, amqp.Field{Key: "x-message-ttl", Value: ttl})
	}
	return t
}
