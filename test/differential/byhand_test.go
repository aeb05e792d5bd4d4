package differential_test

import (
	"fmt"
	"time"

	"github.com/warrenmq/warren/amqp"
)

// byHand are conversations about what chance seldom meets; their seeds are 1
// to 9.
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
	} {
		prefix := fmt.Sprintf("hand%d.", i+1)
		s := &script{seed: uint64(i + 1), prefix: prefix, queues: []string{"q1", "q2", "q3"}, ops: ops}
		list = append(list, s)
	}
	return list
}

func on(conn int, channel uint16, do any) op { return op{conn: conn, channel: channel, do: do} }

// letters are the arguments of a queue whose dead letters go to another.
func letters(to string, ttl int32) amqp.Table {
	t := amqp.Table{{Key: "x-dead-letter-exchange", Value: ""}, {Key: "x-dead-letter-routing-key", Value: to}}
	if ttl > 0 {
		t = append(t, amqp.Field{Key: "x-message-ttl", Value: ttl})
	}
	return t
}
