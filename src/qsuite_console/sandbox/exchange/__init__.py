"""The sample exchange: an HTTP server that answers as Alpaca's market-data and trading hosts do."""
