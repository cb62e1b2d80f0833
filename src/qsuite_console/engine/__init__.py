"""How a job runs: queues, slots, retries, durability, events. Knows no driver and no kind of job."""
