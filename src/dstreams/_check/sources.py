"""The files that are checked, and the programs in them."""

from __future__ import annotations

import ast
import json
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Block", "Source", "files_of", "read"]

_SUFFIXES = (".py", ".ipynb")
_TIMED = ("%%time", "%%timeit", "%%capture", "%%prun")
"""Cell magics whose cell is Python."""
_MAGIC = re.compile(r"^(\s*)(?:(\w+)\s*=\s*)?(?:%{1,2}[a-zA-Z]|!).*$|^(\s*)[\w.]+\?{1,2}\s*$")


@dataclass
class Block:
    """A part of a program that is parsed by itself: a file, or a cell of a notebook.

    Attributes
    ----------
    cell : int or None
        Number of the cell, from 1.
    tree : ast.Module or None
        What is in it; None where Python cannot parse it.
    error : str
        What Python says then.
    line : int
        Where.
    """

    cell: int | None
    tree: ast.Module | None
    error: str = ""
    line: int = 1


@dataclass
class Source:
    """One file.

    Attributes
    ----------
    path : str
        As it was given, or found.
    text : str
        What is in it.
    blocks : list of Block
        Its Python.
    lines : list of tuple of int, int and str
        Other lines, such as those of a shell script: cell or None, line, text.
    notebook : bool
        Whether it is a notebook.
    """

    path: str
    text: str
    blocks: list[Block] = field(default_factory=list)
    lines: list[tuple[int | None, int, str]] = field(default_factory=list)
    notebook: bool = False


def files_of(path: str) -> Iterator[str]:
    """Files to check of a path: itself, or the programs and notebooks below a folder.

    Parameters
    ----------
    path : str
        A file or folder.

    Raises
    ------
    OSError
        If there is neither, or the folder cannot be read, or has no program below it.
    """
    if not os.path.isdir(path):
        if not os.path.exists(path):
            raise FileNotFoundError(f"there is no file or folder {path}")
        yield path
        return

    def refuse(error: OSError) -> None:
        raise error

    found = False
    for folder, folders, files in os.walk(path, onerror=refuse):
        folders[:] = sorted(name for name in folders if not _left_out(folder, name))
        for name in sorted(files):
            if name.endswith(_SUFFIXES) and not name.startswith("."):
                found = True
                yield os.path.join(folder, name)
    if not found:
        raise FileNotFoundError(f"there is no program (.py) and no notebook (.ipynb) in {path}")


def _left_out(folder: str, name: str) -> bool:
    """Whether a folder is none of the user's: hidden, a virtual environment, or what tools put there."""
    if name.startswith(".") or name in ("__pycache__", "node_modules", "site-packages"):
        return True
    return os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))


def read(path: str) -> Source:
    """Read one file: a notebook, a program, or (with another ending and no Python in its first line) a text.

    Parameters
    ----------
    path : str
        The file.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it has the ending of a notebook and is none.
    """
    data = Path(path).read_bytes()
    text = data.decode("utf-8", "replace")
    if path.endswith(".ipynb"):
        return _notebook(path, text)
    source = Source(path, text)
    if path.endswith(".py") or re.match(r"#!.*python", text):
        source.blocks.append(_parse(data, None))
    else:
        source.lines = [(None, number, line) for number, line in enumerate(text.splitlines(), 1)]
    return source


def _parse(code: bytes | str, cell: int | None) -> Block:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the program's business, such as an unknown escape
        try:
            flags = ast.PyCF_ONLY_AST | (0 if cell is None else ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            tree = compile(code, "<program>", "exec", flags, dont_inherit=True)
        except SyntaxError as error:
            return Block(cell, None, error.msg, error.lineno or 1)
        except ValueError as error:  # a byte 0, until Python 3.11
            return Block(cell, None, str(error))
    assert isinstance(tree, ast.Module)
    return Block(cell, tree)


def _notebook(path: str, text: str) -> Source:
    source = Source(path, text, notebook=True)
    try:
        book = json.loads(text)
        language = book.get("metadata", {}).get("kernelspec", {}).get("language", "python")
        cells = book["cells"] if "cells" in book else [cell for sheet in book["worksheets"] for cell in sheet["cells"]]
        codes = [
            (number, "".join(cell["source"] if "source" in cell else cell["input"]))
            for number, cell in enumerate(cells, 1)
            if cell["cell_type"] == "code"
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no notebook: {type(error).__name__}: {error}") from None
    for number, code in codes if language == "python" else ():
        lines = code.splitlines()
        head = lines[0].strip() if lines else ""
        if head.startswith("%%") and not head.startswith(_TIMED):
            source.lines += [(number, n, line) for n, line in enumerate(lines, 1)]
            continue
        block = _parse(code, number)
        if block.tree is None:
            # Only now: a line of plain Python, too, may begin with a percent sign.
            magic = [_MAGIC.match(line) for line in lines]
            source.lines += [(number, n, line) for n, line in enumerate(lines, 1) if magic[n - 1]]
            block = _parse("\n".join(map(_without_magic, lines, magic)), number)
        source.blocks.append(block)
    return source


def _without_magic(line: str, magic: re.Match[str] | None) -> str:
    if magic is None:
        return line
    indent, name = magic[1] or magic[3] or "", magic[2]
    return f"{indent}{name} = None" if name else f"{indent}pass"
