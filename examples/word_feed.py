"""Serve lines of words on a local TCP port, some every second, to whoever connects: `python word_feed.py [PORT]`."""

import socketserver
import sys
import time

LINES = """
to be or not to be that is the question
whether tis nobler in the mind to suffer
the slings and arrows of outrageous fortune
or to take arms against a sea of troubles
""".strip().splitlines()


class Feed(socketserver.StreamRequestHandler):
    """Two lines every half second, as long as the client stays."""

    def handle(self):
        number = 0
        try:
            while True:
                for _ in range(2):
                    self.wfile.write(LINES[number % len(LINES)].encode() + b"\n")
                    number += 1
                time.sleep(0.5)
        except OSError:
            pass  # the client has gone


class FeedServer(socketserver.ThreadingTCPServer):
    """A feed on the loopback interface."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), Feed)


if __name__ == "__main__":
    with FeedServer(int(sys.argv[1]) if len(sys.argv) > 1 else 9999) as server:
        print(f"serving words on {server.server_address[0]}:{server.server_address[1]}", flush=True)
        server.serve_forever()
