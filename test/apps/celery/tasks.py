"""Tasks of the Celery test; BROKER is the URL of the broker."""
import os
import time

from celery import Celery
from kombu import Queue

app = Celery('tasks', broker=os.environ['BROKER'], backend='rpc://')
app.conf.update(
    worker_prefetch_multiplier=1, task_acks_late=True, task_default_queue='plain',
    task_queues=[Queue('plain'), Queue('urgent', queue_arguments={'x-max-priority': 10})],
)
attempts = {}
order = []


@app.task
def add(x, y):
    return x + y


@app.task(bind=True, max_retries=5)
def flaky(self, name):
    """Fails twice."""
    attempts[name] = attempts.get(name, 0) + 1
    if attempts[name] < 3:
        raise self.retry(countdown=0.2)
    return attempts[name]


@app.task
def now():
    return time.time()


@app.task
def note(n):
    order.append(n)


@app.task
def noted():
    return order
