#!python
"""Run an unmodified DStream program: ``spark-submit [OPTIONS] run_dstreams.py PROGRAM.py [ARGUMENT ...]``."""

import sys

try:
    from dstreams.__main__ import main
except ModuleNotFoundError as error:
    if error.name != "dstreams":
        raise
    sys.exit(
        "run_dstreams.py: this Python has no package dstreams. Install it, or pass it to spark-submit with "
        "--py-files dist/dstreams.zip (`make dist` makes it)."
    )

sys.exit(main(sys.argv[1:]))
