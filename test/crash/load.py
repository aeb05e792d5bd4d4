"""Load for a node until it dies, with pika, and again when told another port.

Reads a port a line. Says what it does, a line before or after it does it:
  sending N, confirmed N, got PUB SEQ, acking PUB SEQ, acked PUB SEQ, bad, lost
Bodies are publisher u16, number u32, crc32 of all else u32, filler.
"""
import random
import struct
import sys
import zlib

import pika

PUBLISHER, QUEUE = int(sys.argv[1]), sys.argv[2]


def say(*words):
    print(*words, flush=True)


def body(number, size):
    head, filler = struct.pack(">HI", PUBLISHER, number), random.randbytes(size)
    return head + struct.pack(">I", zlib.crc32(filler, zlib.crc32(head))) + filler


def read(b):
    publisher, number, check = struct.unpack(">HII", b[:10])
    return publisher, number, zlib.crc32(b[10:], zlib.crc32(b[:6])) == check


def take(channel):
    """Gets one message and acknowledges it."""
    method, _, b = channel.basic_get(QUEUE)
    if method is None:
        return
    publisher, number, good = read(b)
    if not good:
        say("bad")
    say("got", publisher, number)
    say("acking", publisher, number)
    channel.basic_ack(method.delivery_tag)
    say("acked", publisher, number)


def run(port, number):
    """Publishes, one message in flight, until the connection is lost."""
    connection = None
    try:
        connection = pika.BlockingConnection(pika.ConnectionParameters(
            "127.0.0.1", port, heartbeat=60, socket_timeout=60, blocked_connection_timeout=60))
        channel = connection.channel()
        channel.confirm_delivery()
        while True:
            number += 1
            say("sending", number)
            channel.basic_publish("", QUEUE, body(number, random.choice((0, 100, 1000, 50000))),
                                  pika.BasicProperties(delivery_mode=2), mandatory=True)
            say("confirmed", number)
            if number % 5:
                take(channel)
    except (pika.exceptions.AMQPError, OSError):
        return number
    finally:
        try:
            connection.close()
        except (AttributeError, pika.exceptions.AMQPError, OSError):
            pass


count = 0
for line in sys.stdin:
    count = run(int(line), count)
    say("lost")
