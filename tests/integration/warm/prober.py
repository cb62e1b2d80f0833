"""Another client of the cache, in a process of its own: pings as fast as it is answered, until its input ends.

Reads URL on its first line; prints, for each line it is given, the number of pings since the last line and their 50th
and 99th percentile in milliseconds.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from urllib.parse import urlsplit


def main() -> None:
    address = urlsplit(sys.stdin.readline().strip())
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(f"AUTH {address.password}\r\n".encode())
        assert connection.recv(100) == b"+OK\r\n"
        spent: list[float] = []
        print("ready", flush=True)
        while True:
            begun = time.perf_counter()
            connection.sendall(b"PING\r\n")
            connection.recv(100)
            spent.append(time.perf_counter() - begun)
            if select.select([sys.stdin], [], [], 0.0005)[0]:
                if not sys.stdin.readline():
                    return
                spent.sort()
                p50, p99 = (1000 * spent[int(share * (len(spent) - 1))] for share in (0.5, 0.99))
                print(len(spent), p50, p99, flush=True)
                spent.clear()


if __name__ == "__main__":
    main()
