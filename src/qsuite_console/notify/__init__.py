"""Who is told of jobs, alerts and schedules: by signed webhooks, by a program or by e-mail, until it has arrived."""
