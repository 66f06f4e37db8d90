#!/usr/bin/env python3
"""Fetch the jars that tests need, from Maven Central: what tools/jars/NAME.xml lists goes to .jars/NAME.

    tools/fetch_jars.py NAME[-SPARK] ...

With a version of Spark (connector-4.1.1) it is that one's, and has a folder of its own.

Called by `make jars`. Uses Maven, which is installed from the system's packages where there is none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
POMS = ROOT / "tools" / "jars"
TARGET = ROOT / ".jars"


def maven() -> str:
    """Find Maven, or install it."""
    if found := shutil.which("mvn"):
        return found
    if sys.platform.startswith("linux") and shutil.which("apt-get") and os.geteuid() == 0:
        print("[jars] installing Maven with apt-get", flush=True)
        quiet = {"stdout": subprocess.DEVNULL, "env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.run(["apt-get", "update", "-qq"], check=True, **quiet)  # type: ignore[call-overload]
        subprocess.run(["apt-get", "install", "-y", "-qq", "maven"], check=True, **quiet)  # type: ignore[call-overload]
        if found := shutil.which("mvn"):
            return found
    sys.exit(
        "[jars] Maven (mvn) is needed to fetch the jars that the tests use, and is not on the PATH. Install it "
        "(apt-get install maven, brew install maven, ...) and call `make jars` again."
    )


def main(names: list[str]) -> None:
    """Fetch these, anew."""
    program = maven()
    for name in names:
        kind, _, spark = name.partition("-")
        pom, target = POMS / f"{kind}.xml", TARGET / name
        shutil.rmtree(target, ignore_errors=True)
        print(f"[jars] fetching .jars/{name}", flush=True)
        command = [program, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={target}"]
        command += [f"-Dspark.version={spark}"] if spark else []
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            shutil.rmtree(target, ignore_errors=True)
            errors = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
            sys.exit("\n".join(["[jars] Maven could not fetch them:", *errors[:5]]))


if __name__ == "__main__":
    main(sys.argv[1:])
