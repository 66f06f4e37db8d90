"""Count the lines of code in ``src/``, without blank lines, comments and docstrings: ``python tools/lines.py``."""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "dstreams"
_NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def code_lines(source: str) -> int:
    """Lines of a module that have code; a text that spans several, and stands for itself, has none."""
    texts: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            texts.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NO_CODE:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code - texts)


def main() -> None:
    """Print lines and files of each room, the largest first."""
    lines: Counter[str] = Counter()
    files: Counter[str] = Counter()
    for path in PACKAGE.rglob("*.py"):
        inside = path.relative_to(PACKAGE).parts
        room = f"{inside[0]}/" if len(inside) > 1 else "(top)"
        lines[room] += code_lines(path.read_text())
        files[room] += 1
    for room, count in lines.most_common():
        print(f"{count:6} {files[room]:4}  {room}")
    print(f"{lines.total():6} {files.total():4}  all")


if __name__ == "__main__":
    main()
