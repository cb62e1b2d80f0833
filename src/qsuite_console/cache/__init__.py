"""Redis and Valkey: the only package that imports the driver. One factory, so that no call has hidden retries."""
