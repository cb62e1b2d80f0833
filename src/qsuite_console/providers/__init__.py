"""Market-data providers over HTTP: the only package below the front ends that imports aiohttp."""
