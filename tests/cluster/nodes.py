"""Pythons as nodes have them: with few packages, or none."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
from importlib.util import find_spec
from pathlib import Path

__all__ = ["archive", "bare_python", "package_zip"]

ROOT = Path(__file__).resolve().parent.parent.parent
_SITE = Path("lib") / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def bare_python(folder: Path, *modules: str) -> str:
    """Make an environment that has these modules of ours, and no others.

    Parameters
    ----------
    folder : Path
        Where to make it.
    *modules : str
        Top-level names.

    Returns
    -------
    str
        Path of its interpreter.
    """
    venv.create(folder, symlinks=True)
    for module in modules:
        spec = find_spec(module)
        assert spec is not None and spec.submodule_search_locations
        package = Path(next(iter(spec.submodule_search_locations)))
        for found in (package, package.with_name(f"{package.name}.libs")):
            if found.exists():
                (folder / _SITE / found.name).symlink_to(found)
    return str(folder / "bin" / "python")


def archive(python: str, to: Path) -> Path:
    """Pack an environment as venv-pack does, for ``--archives``."""
    with tarfile.open(to, "w:gz", compresslevel=1, dereference=True) as tar:
        tar.add(Path(python).parent.parent, arcname=".", filter=_without_caches)
    return to


def package_zip(folder: Path) -> Path:
    """Make dstreams.zip as ``make dist`` does."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, timeout=300)
    (wheel,) = folder.glob("dstreams-*.whl")
    return wheel.rename(folder / "dstreams.zip")


def _without_caches(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in info.name or "/pyarrow/tests" in info.name else info
