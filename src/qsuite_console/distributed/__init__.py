"""Jobs in the hands of other processes: handed out and followed here, claimed and done there, by way of one table."""
