// Package apps runs real programs against Warren: Celery, and the patterns of
// RabbitMQ's tutorials (work queue, publish/subscribe, routing, topics, RPC,
// publisher confirms) with pika, amqp091-go and npm's amqplib.
//
// It has no code of its own: see its tests and the programs beside them.
package apps
