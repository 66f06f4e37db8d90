"""From raw rows to the table: what is printed, and what is written into docs/performance.md.

``python benchmarks/report.py`` makes the table anew from the stored rows, without measuring.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean, median

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
DOCS = HERE.parent / "docs" / "performance.md"
BEGIN, END = "<!-- benchmarks: begin (written by benchmarks/run.py) -->", "<!-- benchmarks: end -->"
CORES = 2


def save(mode, key, found):
    """Store what was measured; other workloads of the same mode keep what they have."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{mode}.json"
    stored = load(mode)
    stored[key] = found
    lines = ",\n".join(f"{json.dumps(name)}: {_dump(one)}" for name, one in stored.items())
    path.write_text("{\n" + lines + "\n}\n")


def _dump(found):
    """JSON with one line per row."""
    rows = ",\n  ".join(json.dumps(row) for row in found["rows"])
    rest = json.dumps({name: value for name, value in found.items() if name != "rows"}, indent=1)
    return f'{rest.removesuffix("}").rstrip()},\n "rows": [\n  {rows}\n ]}}'


def load(mode):
    path = RESULTS / f"{mode}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def by_round(found):
    """Times in ms of each engine in each round: ``{engine: {round: [ms, ...]}}``."""
    times = {}
    for row in found["rows"]:
        times.setdefault(row["engine"], {}).setdefault(row["round"], []).append(row["ms"])
    if found["loop"]:
        times["loop"] = {n: [ms / CORES] for n, ms in enumerate(found["loop"])}
    return times


REFERENCES = {
    "legacy": "old engine",
    "handwritten": "hand-written job",
    "loop": "plain loop / cores",
    "small": "the same with {few_keys:,} keys",
}
REACH = {
    ("words-1m", "legacy"): "0.6",
    ("words-10m", "legacy"): "0.45",
    ("words-1m", "handwritten"): "1.05",
    ("words-10m", "handwritten"): "1.05",
    ("words-1m", "loop"): "3",
    ("words-10m", "loop"): "1.4",
    ("empty", "legacy"): "0.4",
    ("empty-state", "legacy"): "0.4",
    ("update-10k", "legacy"): "0.6",
    ("update-100k", "legacy"): "0.25",
    ("update-1m", "legacy"): "0.12",
    ("map-1m", "small"): "1.2",
    ("reduce-window", "legacy"): "0.35",
    ("window", "legacy"): "0.7",
    ("restart-100k", "legacy"): "0.9",
    ("restart-1m", "legacy"): "0.5",
    ("kafka", "handwritten"): "1.0",
}


def table(mode):
    """Lines of the Markdown table of a mode, empty where no batch was timed."""
    lines = [
        "| workload | compared with | dstreams | reference | ratio (rounds) | means | to reach |",
        "|---|---|---|---|---|---|---|",
    ]
    for key, found in load(mode).items():
        if found["parameters"]["kind"].startswith("memory"):
            continue
        times = by_round(found)
        for reference, name in REFERENCES.items():
            if reference not in times:
                continue
            # Only rounds in which both took part.
            rounds = [(times["dstreams"][n], theirs) for n, theirs in times[reference].items()]
            sides = [[ms for one in side for ms in one] for side in zip(*rounds, strict=True)]
            ours, theirs = map(median, sides)
            means = ", ".join(f"{mean(side):.0f}" for side in sides)
            ratios = [median(a) / median(b) for a, b in rounds]
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}" if len(ratios) > 1 else "one round"
            against = name.format(**found["parameters"])
            lines.append(
                f"| {found['parameters']['title']} | {against} | {ours:.0f} ms | {theirs:.0f} ms | "
                f"**{ours / theirs:.2f}** ({spread}) | {means} ms | {REACH.get((key, reference), '')} |"
            )
    return lines if len(lines) > 2 else []


PHASES = {
    "latestOffset": "listing",
    "walCommit": "offset log",
    "getBatch": "sources",
    "queryPlanning": "planning",
    "addBatch": "stages, state and outputs",
    "commitOffsets": "commit log",
}
"""Of a progress report's ``durationMs``; ``getOffset`` is left out, since it waits for the batch time, and the sum."""


def phase_table(mode):
    """Lines of the Markdown table of where the time of a batch of dstreams goes."""
    lines = [f"| ms of a batch of dstreams | {' | '.join(PHASES.values())} |", "|---" * (len(PHASES) + 1) + "|"]
    for found in load(mode).values():
        rows = [row["phases"] for row in found["rows"] if row["engine"] == "dstreams" and "phases" in row]
        if rows and not found["parameters"]["kind"].startswith("memory"):
            times = (f"{median(row.get(phase, 0) for row in rows):.0f}" for phase in PHASES)
            lines.append(f"| {found['parameters']['title']} | {' | '.join(times)} |")
    return lines if len(lines) > 2 else []


MEMORY = {
    "driver_python": "driver, Python",
    "jvm_heap": "JVM heap after GC",
    "jvm_rss": "JVM",
    "workers": "Python processes below the JVM",
}


def memory_table(mode):
    """Lines of the Markdown table of memory, empty where it was not measured."""
    found = load(mode).get("memory")
    return _memory_rows(found["rows"], {"batches": "batches", "seconds": "s since start"}) if found else []


def _memory_rows(rows, first):
    columns = {**first, **MEMORY}
    lines = ["| " + " | ".join(columns.values()) + " |", "|---" * len(columns) + "|"]
    for row in rows:
        cells = [f"{row[name]:,.15g}{' MB' if name in MEMORY else ''}" for name in columns]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def state_memory(mode):
    """Lines on the memory that much state takes: a table, bytes per key, and whether batches get slower."""
    found = load(mode).get("memory-3m")
    if found is None:
        return []
    memories = [row for row in found["rows"] if "workers" in row]
    times = [row["ms"] for row in found["rows"] if "ms" in row]
    title = found["parameters"]["title"]
    lines = [f"{title}:", "", *_memory_rows(memories, {"batches": "batches", "keys": "keys"}), ""]
    empty, _, full = memories
    parts = [f"{(full[name] - empty[name]) * 2**20 / full['keys']:.0f} bytes ({MEMORY[name]})" for name in MEMORY]
    fifth = max(1, len(times) // 5)
    lines.append(f"Per key that is {', '.join(parts)}. Median batch: {median(times):.0f} ms; of the first {fifth} "
                 f"{median(times[:fifth]):.0f} ms, of the last {fifth} {median(times[-fifth:]):.0f} ms.")  # fmt: skip
    return lines


def text(mode):
    """The report of a mode: tables and what they were measured with."""
    stored = load(mode)
    if not stored:
        return ""
    one = next(iter(stored.values()))
    made = sorted({found["date"][:10] for found in stored.values()})
    versions = ", ".join(f"{name} {version}" for name, version in one["versions"].items())
    about = f"Measured {' and '.join(made)} on {one['cores']} cores ({one['system']}), seed {one['seed']}: {versions}."
    parts = (table(mode), phase_table(mode), memory_table(mode), state_memory(mode))
    tables = ["\n".join(lines) for lines in parts if lines]
    # Those from queues follow each other at once.
    paced = [found for found in stored.values() if found["parameters"]["kind"] in ("words", "empty", "empty-state")]
    rows = [row for found in paced for row in found["rows"]]
    late = sum(row["late"] for row in rows)
    notes = []
    if late:
        notes.append(f"{late} of {len(rows)} measured batches with words or empty were due before the one in front of "
                     "them was done.")  # fmt: skip
    return "\n\n".join([about, *tables, *notes]) + "\n"


def write_docs():
    """Put the tables between the two marker comments of docs/performance.md; the text around them stays."""
    parts = [f"### `{command}`\n\n{text(mode)}"
             for mode, command in (("quick", "make bench-quick"), ("full", "make bench")) if load(mode)]  # fmt: skip
    old = DOCS.read_text() if DOCS.exists() else f"# Performance\n\n{BEGIN}\n{END}\n"
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCS.parent.mkdir(exist_ok=True)
    DOCS.write_text(f"{before}{BEGIN}\n\n" + "\n".join(parts) + f"\n{END}{after}")


def plot():
    """Batch times as a PNG per workload, where matplotlib is installed."""
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    for key, found in load("full").items():
        if found["parameters"]["kind"].startswith("memory"):
            continue
        _, axes = pyplot.subplots()
        for engine in dict.fromkeys(row["engine"] for row in found["rows"]):
            axes.plot([row["ms"] for row in found["rows"] if row["engine"] == engine], marker=".", label=engine)
        axes.set(title=found["parameters"]["title"], xlabel="batch", ylabel="ms", ylim=(0, None))
        axes.legend()
        pyplot.savefig(RESULTS / f"{key}.png")
        pyplot.close()


if __name__ == "__main__":
    write_docs()
    print(text("quick"), text("full"), sep="\n")
