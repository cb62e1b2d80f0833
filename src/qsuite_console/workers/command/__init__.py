"""External programs as jobs: the commands the operator declared, each a kind of its own named ``command.NAME``."""
