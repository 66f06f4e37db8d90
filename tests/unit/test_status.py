"""How a program is doing, as text, as a table and as a dict."""

from __future__ import annotations

import json

from dstreams._run.status import Status


def status() -> Status:
    outputs = [{"name": "pprint at a.py:1", "ms": 12, "error": None},
               {"name": "foreachRDD at a.py:2", "ms": 7, "error": "ValueError: <none>"}]  # fmt: skip
    return Status("running", 500, 1234, 1_000_000, 7, 600, 80, 9000, True, outputs, "ValueError: <none>")


def test_before_the_first_batch() -> None:
    assert str(Status("not started", 1000)).splitlines() == [
        "state     not started", "interval  1 s", "batches   0", "waiting   0 records",
    ]  # fmt: skip


def test_as_text() -> None:
    lines = {line.rsplit("  ", 1)[0].strip(): line.rsplit("  ", 1)[1].strip() for line in str(status()).splitlines()}
    assert (
        lines["state"] == "running"
        and lines["batches"] == "1,234"
        and lines["began"] == "600 ms late"
        and lines["took"] == "80 ms, behind"
    )
    assert lines["waiting"] == "9,000 records" and lines["foreachRDD at a.py:2"] == "7 ms, failed: ValueError: <none>"


def test_in_a_notebook() -> None:
    html = status()._repr_html_()
    assert "<tr><th>took</th><td>80 ms, behind</td></tr>" in html
    assert "ValueError: &lt;none&gt;" in html and "<none>" not in html


def test_for_programs() -> None:
    found = json.loads(json.dumps(status().as_dict()))
    assert (found["interval_ms"], found["last_batch_ms"], found["behind"]) == (500, 1_000_000, True)
    assert found["outputs"][1]["error"] == "ValueError: <none>"
