"""Write the lines of a TCP server to files in a directory, one file a second; plain Python, without Spark.

    python examples/leave/socket_to_files.py localhost 9999 FEED

What it has received and not yet written is lost when it is killed, as with any program that reads a socket: let the
sender write to files or to Kafka itself where it can.
"""

import os
import socket
import sys
import time


def write(feed, lines):
    """Write a file under a name that Spark does not read, then rename it: Spark must not see half a file."""
    name = f"{time.time_ns()}.txt"
    with open(f"{feed}/.{name}", "wb") as file:
        file.writelines(lines)
    os.rename(f"{feed}/.{name}", f"{feed}/{name}")


def copy(connection, feed):
    """Copy until the server closes the connection."""
    rest, lines, due = b"", [], time.monotonic() + 1
    connection.settimeout(0.1)
    while True:
        try:
            data = connection.recv(1 << 16)
        except TimeoutError:
            data = None
        if data:
            *complete, rest = (rest + data).split(b"\n")
            lines += [line + b"\n" for line in complete]
        if lines and (time.monotonic() >= due or data == b""):
            write(feed, lines)
            lines, due = [], time.monotonic() + 1
        if data == b"":
            return


if __name__ == "__main__":
    host, port, feed = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    os.makedirs(feed, exist_ok=True)
    with socket.create_connection((host, port)) as connection:
        copy(connection, feed)
