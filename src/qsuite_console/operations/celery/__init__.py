"""Operations on Celery: revoke a task, limit its rate, empty a queue, stop a worker, switch events and queues.

Commands go to the workers themselves, which answer: an outcome says who has done it, and one that reached nobody is
refused, since Celery forgets what no worker hears.
"""
