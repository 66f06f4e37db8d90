"""The main job, by itself: a word feed on a local port, and the network word count on it for some seconds.

`make run` runs this. The word count is `network_wordcount.py`, an unmodified DStream program; it is started the
way its user would start it, with `python -m dstreams`.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path

from word_feed import FeedServer

SECONDS = "12"
SPARK = "--master local[2] --conf spark.ui.enabled=false --conf spark.ui.showConsoleProgress=false pyspark-shell"


def main():
    with FeedServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host, port = server.server_address
        program = str(Path(__file__).with_name("network_wordcount.py"))
        command = [sys.executable, "-m", "dstreams", program, host, str(port), SECONDS]
        print("$", " ".join(["python", *command[1:]]), flush=True)
        code = subprocess.run(command, check=False, env=os.environ | {"PYSPARK_SUBMIT_ARGS": SPARK}).returncode
        server.shutdown()
    return code


if __name__ == "__main__":
    sys.exit(main())
