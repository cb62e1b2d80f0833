"""A whole platform on this machine: embedded PostgreSQL and Valkey, a sample exchange, data and traffic."""
