"""Bind an exclusive queue to two routing keys and acknowledge what arrives."""
import os

import pika

credentials = pika.PlainCredentials(os.environ["WARREN_ROLE"], os.environ["WARREN_KEY"])
connection = pika.BlockingConnection(pika.ConnectionParameters(
    host=os.environ["WARREN_HOST"], port=int(os.environ["WARREN_PORT"]),
    virtual_host=os.environ["WARREN_VHOST"], credentials=credentials))
channel = connection.channel()
channel.exchange_declare(exchange="direct_exchange", exchange_type="direct")
channel.queue_declare(queue="orders", exclusive=True, durable=True)
for key in ["order.created", "order.paid"]:
    channel.queue_bind(exchange="direct_exchange", queue="orders", routing_key=key)
channel.basic_qos(prefetch_count=1)


def received(ch, method, properties, body):
    """Print a message and acknowledge it."""
    print("received", body.decode(), flush=True)
    ch.basic_ack(delivery_tag=method.delivery_tag)


channel.basic_consume(queue="orders", on_message_callback=received)
print("waiting", flush=True)
try:
    channel.start_consuming()
except KeyboardInterrupt:
    connection.close()
