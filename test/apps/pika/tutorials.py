"""The patterns of RabbitMQ's tutorials with pika; BROKER is the URL of the broker."""
import os
import uuid

import pika

parameters = pika.URLParameters(os.environ['BROKER'])


def channel():
    return pika.BlockingConnection(parameters).channel()


def receive(ch, queue, n, ack=True):
    """Returns n messages of a queue: (routing key, body)."""
    got = []
    for method, _, body in ch.consume(queue, auto_ack=not ack, inactivity_timeout=10):
        assert method is not None, 'nothing within 10 s'
        got.append((method.routing_key, body.decode()))
        if ack:
            ch.basic_ack(method.delivery_tag)
        if len(got) == n:
            break
    ch.cancel()
    return got


def work_queue():
    ch, workers = channel(), [channel(), channel()]
    ch.queue_declare('task_queue', durable=True)
    done = []
    for i, w in enumerate(workers):
        w.basic_qos(prefetch_count=1)

        def work(c, method, _properties, body, i=i):
            done.append((i, body.decode()))
            c.basic_ack(method.delivery_tag)
        w.basic_consume('task_queue', work)
    for i in range(6):
        ch.basic_publish('', 'task_queue', f'task {i}', pika.BasicProperties(delivery_mode=2))
    for _ in range(100):
        for w in workers:
            w.connection.process_data_events(time_limit=0.05)
        if len(done) == 6:
            break
    assert sorted(b for _, b in done) == [f'task {i}' for i in range(6)], done
    assert {i for i, _ in done} == {0, 1}, done  # both had some


def publish_subscribe():
    ch = channel()
    ch.exchange_declare('logs', 'fanout')
    queues = []
    for _ in range(2):
        q = ch.queue_declare('', exclusive=True).method.queue
        ch.queue_bind(q, 'logs')
        queues.append(q)
    ch.basic_publish('logs', '', 'info: hello')
    for q in queues:
        assert receive(ch, q, 1) == [('', 'info: hello')]


def routing():
    ch = channel()
    ch.exchange_declare('direct_logs', 'direct')
    q = ch.queue_declare('', exclusive=True).method.queue
    for severity in ('warning', 'error'):
        ch.queue_bind(q, 'direct_logs', severity)
    for severity in ('info', 'warning', 'error'):
        ch.basic_publish('direct_logs', severity, severity)
    assert receive(ch, q, 2) == [('warning', 'warning'), ('error', 'error')]


def topics():
    ch = channel()
    ch.exchange_declare('topic_logs', 'topic')
    for pattern, want in {'#': 4, 'kern.*': 2, '*.critical': 2, '#.rabbit.#': 1}.items():
        q = ch.queue_declare('', exclusive=True).method.queue
        ch.queue_bind(q, 'topic_logs', pattern)
        for key in ('kern.critical', 'kern.info', 'cron.critical', 'lazy.brown.rabbit'):
            ch.basic_publish('topic_logs', key, key)
        assert len(receive(ch, q, want)) == want
        assert ch.queue_declare(q, passive=True).method.message_count == 0


def rpc(reply_queue):
    server, client = channel(), channel()
    server.queue_declare('rpc_queue')

    def serve(c, method, properties, body):
        c.basic_publish('', properties.reply_to, str(int(body) ** 2), pika.BasicProperties(correlation_id=properties.correlation_id))
        c.basic_ack(method.delivery_tag)
    tag = server.basic_consume('rpc_queue', serve)
    reply_to = reply_queue or client.queue_declare('', exclusive=True).method.queue
    answers = {}
    client.basic_consume(reply_to, lambda _c, _m, p, body: answers.update({p.correlation_id: body}), auto_ack=True)
    wanted = {str(uuid.uuid4()): n for n in range(5)}
    for i, n in wanted.items():
        client.basic_publish('', 'rpc_queue', str(n), pika.BasicProperties(reply_to=reply_to, correlation_id=i))
    for _ in range(100):
        server.connection.process_data_events(time_limit=0.05)
        client.connection.process_data_events(time_limit=0.05)
        if len(answers) == 5:
            break
    assert answers == {i: str(n * n).encode() for i, n in wanted.items()}, answers
    server.basic_cancel(tag)


def confirms():
    ch = channel()
    ch.confirm_delivery()
    q = ch.queue_declare('', exclusive=True).method.queue
    for i in range(20):
        ch.basic_publish('', q, str(i), mandatory=True)
    try:
        ch.basic_publish('', 'nowhere', 'x', mandatory=True)
        raise AssertionError('an unroutable message was not returned')
    except pika.exceptions.UnroutableError:
        pass
    assert [b for _, b in receive(ch, q, 20)] == [str(i) for i in range(20)]


work_queue()
publish_subscribe()
routing()
topics()
rpc(None)
rpc('amq.rabbitmq.reply-to')
confirms()
print('done')
