"""Where in the program something is, as messages and names tell it: in a file, in a shell, in a notebook's cell."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from dstreams._plan.graph import call_site, script_name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/jobs/counts.py", "counts.py"),
        ("counts.py", "counts.py"),
        ("/jobs/ipykernel.py", "ipykernel.py"),
        ("<stdin>", ""),
        ("<ipython-input-3-e2fef90b38e7>", ""),
        ("/tmp/ipykernel_4242/3866700947.py", ""),
        ("/root/.ipykernel/17/command-5678-90", ""),
        (r"C:\Users\me\AppData\Local\Temp\ipykernel_17\386.py", ""),
    ],
)
def test_names_of_scripts(path: str, name: str) -> None:
    where: dict[str, Any] = {"script_name": script_name}
    exec(compile("found = script_name(None)\ndef setup(): pass", path, "exec"), where)
    assert where["found"] == script_name(where["setup"].__code__) == name


def site_in(path: str) -> str:
    where: dict[str, Any] = {"call_site": call_site}
    exec(compile("\n\nfound = call_site()", path, "exec"), where)
    return str(where["found"])


def test_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook's cell has the number that the notebook shows."""
    cell = "/tmp/ipykernel_4242/3866700947.py"
    assert site_in("/jobs/counts.py") == "counts.py:3"
    assert site_in(cell) == "3866700947.py:3"
    names = {cell: ("Cell", "In[7]")}
    shell = SimpleNamespace(compile=SimpleNamespace(format_code_name=names.get))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert site_in(cell) == "In[7]:3"
    assert site_in("/jobs/counts.py") == "counts.py:3", "a module that a cell calls is a file"
