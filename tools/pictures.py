"""Take the pictures of Spark's Streaming page in docs/pictures: ``make pictures`` (a minute; needs Chromium).

A program with a socket, state and an output that fails now and then runs for forty batches; a Chromium without a
screen looks at its page, and at the page of a batch.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
BATCHES = 40
PROGRAM = """
import sys
import time
from pyspark import SparkConf, SparkContext
from pyspark.streaming import StreamingContext


def to_table(rdd):
    if rdd.count() > 2000:
        raise ConnectionError("the table does not answer")


sc = SparkContext(conf=SparkConf().setMaster("local[2]").setAppName("orders").set("spark.ui.port", "0"))
ssc = StreamingContext(sc, 1)
ssc.checkpoint("checkpoint")
words = ssc.socketTextStream("127.0.0.1", int(sys.argv[1])).flatMap(str.split).map(lambda word: (word, 1))
words.updateStateByKey(lambda new, old: sum(new) + (old or 0)).count().pprint()
words.foreachRDD(to_table)
words.reduceByKeyAndWindow(lambda a, b: a + b, lambda a, b: a - b, 10).count().pprint()
print("page", sc.uiWebUrl, flush=True)
ssc.start()
time.sleep(600)  # nobody waits for the end, so an output that fails does not end it
"""


def feed(server: socket.socket) -> None:
    """Send words, more in some seconds than in others."""
    client, _ = server.accept()
    for second in range(1000):
        try:
            client.sendall(b"".join(b"order%d\n" % n for n in range(400 + 300 * (second % 7))))
        except OSError:
            return
        time.sleep(1)


def html(url: str) -> str:
    """A page."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()  # type: ignore[no-any-return]


def picture(browser: str, url: str, name: str, height: int) -> None:
    """Look at a page."""
    with tempfile.TemporaryDirectory() as profile:
        command = [
            browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            f"--user-data-dir={profile}", f"--window-size=1280,{height}", "--virtual-time-budget=8000",
            f"--screenshot={PICTURES / name}", url,
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    print(f"wrote {(PICTURES / name).relative_to(ROOT)}", flush=True)


def main() -> int:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        print("no Chromium: sudo apt-get install chromium", file=sys.stderr)
        return 2
    PICTURES.mkdir(exist_ok=True)
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=feed, args=(server,), daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        app = Path(folder, "orders.py")
        app.write_text(PROGRAM)
        command = [sys.executable, "-m", "dstreams", str(app), str(server.getsockname()[1])]
        with subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as program:
            assert program.stdout is not None
            try:
                url = next(line.split()[1] for line in program.stdout if line.startswith("page "))
                threading.Thread(target=program.stdout.read, daemon=True).start()
                ids: list[str] = []
                while len(ids) < BATCHES:
                    time.sleep(1)
                    ids = re.findall(r"batch\?id=(\d+)", html(f"{url}/streaming/"))
                picture(browser, f"{url}/streaming/", "streaming.png", 1250)
                pages = (f"{url}/streaming/batch?id={number}" for number in ids)
                picture(browser, next(page for page in pages if "ConnectionError" in html(page)), "batch.png", 700)
            finally:
                program.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
