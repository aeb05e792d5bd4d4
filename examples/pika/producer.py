"""Send one message for each routing key to a direct exchange."""
import os

import pika

credentials = pika.PlainCredentials(os.environ["WARREN_ROLE"], os.environ["WARREN_KEY"])
connection = pika.BlockingConnection(pika.ConnectionParameters(
    host=os.environ["WARREN_HOST"], port=int(os.environ["WARREN_PORT"]),
    virtual_host=os.environ["WARREN_VHOST"], credentials=credentials))
channel = connection.channel()
channel.exchange_declare(exchange="direct_exchange", exchange_type="direct")
for key in ["order.created", "order.paid", "order.lost", "nobody.listens"]:
    channel.basic_publish(exchange="direct_exchange", routing_key=key, body=f"{key}: hello".encode(),
                          properties=pika.BasicProperties(delivery_mode=2))
    print("sent", key)
connection.close()
