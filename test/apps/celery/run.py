"""Runs a worker and has it work: calls, retry, ETA, priorities, remote control."""
import subprocess
import sys
import time

from celery import group

import tasks

# Before there is a worker: it takes them by priority.
for priority in (1, 9, 5, 3, 7):
    tasks.note.apply_async((priority,), queue='urgent', priority=priority)
worker = subprocess.Popen([sys.executable, '-m', 'celery', '-A', 'tasks', 'worker', '--pool', 'solo', '--loglevel', 'WARNING',
                           '--queues', 'plain,urgent', '--hostname', 'test@localhost'])
try:
    assert tasks.add.delay(2, 3).get(timeout=30) == 5
    assert sum(group(tasks.add.s(i, i) for i in range(20))().get(timeout=30)) == 380
    assert tasks.flaky.delay('a').get(timeout=30) == 3
    begun = time.time()
    ran = tasks.now.apply_async(countdown=1.5).get(timeout=30)
    assert 1.4 <= ran - begun <= 10, ran - begun
    begun = time.time()
    got = tasks.noted.apply_async(queue='urgent').get(timeout=30)
    assert got == [9, 7, 5, 3, 1], got
    assert tasks.app.control.ping(timeout=5, limit=1) == [{'test@localhost': {'ok': 'pong'}}]
    tasks.app.control.shutdown()
    worker.wait(timeout=20)
finally:
    if worker.poll() is None:
        worker.kill()
print('done')
