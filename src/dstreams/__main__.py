"""Run an unmodified program: ``python -m dstreams app.py ARGS``, or this file under ``spark-submit``.

``python -m dstreams check PATH...`` says what becomes of programs, without running them.
``python -m dstreams checkpoint DIR`` shows what a checkpoint directory holds, or with ``--repartition N`` spreads its
state over N partitions. ``python -m dstreams warm-up`` makes an archive of classes from which JVMs start faster.
"""

from __future__ import annotations

import os
import runpy
import shlex
import sys

USAGE = """usage: python -m dstreams [--conf NAME=VALUE ...] PROGRAM.py [ARGUMENT ...]
       python -m dstreams check PATH ... [--json]
       python -m dstreams checkpoint DIR [--json | --repartition N]
       python -m dstreams warm-up

Runs a PySpark program whose `pyspark.streaming` is dstreams, otherwise unchanged; or reads programs without running
them, and says what becomes of each use of `pyspark.streaming`; or shows what a checkpoint directory holds: the
program, how far it has got, and the size of its state (nothing in it is changed); with --repartition spreads the
state over N partitions; or makes an archive of Spark's classes, from which the JVMs of later programs start faster.
Under spark-submit: spark-submit [OPTIONS] .../dstreams/__main__.py PROGRAM.py [ARGUMENT ...]"""


def main(arguments: list[str]) -> int:
    """Run the program named first, with the rest as its arguments; or the command, where there is no such file.

    Parameters
    ----------
    arguments : list of str
        Settings of Spark (``--conf NAME=VALUE``), the path of the program and its arguments; or ``check``,
        ``checkpoint`` or ``warm-up`` and what follows it.

    Returns
    -------
    int
        Exit code; the program's own ``sys.exit`` passes through.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    settings = []
    while len(arguments) > 2 and arguments[0] == "--conf":
        settings += arguments[:2]
        arguments = arguments[2:]
    program = arguments[0]
    if problem := _wrong(settings) or ("--conf needs NAME=VALUE, and a program" if program == "--conf" else ""):
        print(f"dstreams: {problem}", file=sys.stderr)
        return 2
    if not os.path.isfile(program):
        if program == "check":
            from dstreams._check.command import command as check

            return check(arguments[1:])
        if program == "checkpoint":
            from dstreams._run.command import command

            return command(arguments[1:])
        if program == "warm-up":
            from dstreams._run import warm_up

            return warm_up.command(arguments[1:])
        print(f"dstreams: no such program: {program}", file=sys.stderr)
        return 2

    from dstreams import compat
    from dstreams._compatibility import TABLE
    from dstreams._run.launch import launching
    from dstreams._run.workers import use_this_python
    from dstreams._spark.gateway import around_launch

    if settings:
        submit = os.environ.get("PYSPARK_SUBMIT_ARGS", "pyspark-shell")
        os.environ["PYSPARK_SUBMIT_ARGS"] = f"{shlex.join(settings)} {submit}"
    use_this_python()
    around_launch(launching)
    compat.activate()
    sys.argv = list(arguments)
    sys.path.insert(0, os.path.dirname(os.path.abspath(program)))
    try:
        runpy.run_path(program, run_name="__main__")
    except SyntaxError as error:
        if error.filename == program:
            print(f"dstreams: {program}: {TABLE['Python 2'].sentence}", file=sys.stderr)
        raise
    return 0


def _wrong(settings: list[str]) -> str:
    """What is wrong with settings of the command line; empty if nothing is."""
    for text in settings[1::2]:
        if not text.partition("=")[2] or not text.startswith("spark."):
            return f"--conf needs NAME=VALUE with a name that begins with spark., got {text}"
    if settings and "PYSPARK_GATEWAY_PORT" in os.environ:
        return "under spark-submit, which has made the JVM, --conf is an option of spark-submit itself"
    return ""


if __name__ == "__main__":
    if not __package__:
        # Started as a file: its folder must not shadow other modules, and the package must be found.
        here = os.path.dirname(os.path.abspath(__file__))
        sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
        sys.path.append(os.path.dirname(here))
    sys.exit(main(sys.argv[1:]))
