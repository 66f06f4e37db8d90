"""Which names of the old engine a program uses: its syntax tree, with what its variables hold as far as that shows.

A value is followed through assignments, calls, functions of the same file, attributes of its classes, and annotations.
Functions are read after what surrounds them, and all of it again until nothing more is learned, so that what a function
is called with is known in it. Of what is not known only names count that nothing else has (`TELLING`).
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from dstreams._check.sources import Block
from dstreams._compatibility import (
    CHANGE,
    EXPORTS,
    MODULES,
    OLD_KAFKA,
    PYTHON_2_MODULES,
    PYTHON_2_NAMES,
    SERVERS,
    TABLE,
    TELLING,
    Fact,
    find,
    missing,
)

__all__ = ["Use", "python_2_names", "uses_in_text", "uses_of"]

_ROUNDS = 8
_OLD_NAMES = {ours: old for old, ours in MODULES.items()}
_SETTING = re.compile(r"spark\.streaming\.\w+(?:\.\w+)*")
_BROKERS = {"bootstrap.servers", "metadata.broker.list", "kafka.bootstrap.servers"}
_ARGUMENTS = [fact for fact in TABLE.values() if fact.position is not None]
_GUARDS = {"ImportError", "ModuleNotFoundError", "NameError"}


class Use(NamedTuple):
    """One use of a name.

    Attributes
    ----------
    fact : Fact
        What becomes of it.
    cell : int or None
        Cell of a notebook, from 1.
    line : int
        Line of the file, or of the cell.
    name : str
        As the table shows it.
    instead : str
        What to write instead, here.
    """

    fact: Fact
    cell: int | None
    line: int
    name: str
    instead: str


class _Kind(NamedTuple):
    """What is known of a value.

    ``module`` and ``class`` (of the old engine, by name), ``our module`` (by the old engine's name), ``instance`` (of
    such a class), ``member`` (a fact), ``many`` (of what a list holds);
    ``function``, ``local class``, ``object`` (of the program, by their nodes).
    """

    sort: str
    of: Any


_Maybe = _Kind | None
_UNSURE = _Kind("unsure", None)
_CONTEXT = _Kind("instance", "StreamingContext")


class _Scope:
    """Names of a module, a function or a class."""

    def __init__(self, outer: _Scope | None = None, function: Any = None, owner: ast.ClassDef | None = None) -> None:
        self.names: dict[str, _Maybe] = {}
        self.outer = outer
        self.function = function
        self.owner = owner
        self.method_of: ast.ClassDef | None = outer.method_of if outer is not None else None
        self.shared: set[str] = set()

    def look_up(self, name: str) -> _Maybe:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.outer
        return None


def uses_of(blocks: list[Block], text: str) -> list[Use]:
    """All uses in a program.

    Parameters
    ----------
    blocks : list of Block
        The program; parts that cannot be parsed are left out.
    text : str
        All of its text.
    """
    reader = _Reader(blocks, text)
    for _ in range(_ROUNDS):
        before = dict(reader.known)
        reader.read()
        if reader.known == before:
            break
    return reader.uses


def uses_in_text(cell: int | None, line: int, text: str) -> Iterator[Use]:
    """Uses in a line that is no Python: packages that it asks for, and settings.

    Parameters
    ----------
    cell : int or None
        Where it is.
    line : int
        Where it is.
    text : str
        The line, or any text that a program has.
    """
    for found in OLD_KAFKA.finditer(text):
        fact = TABLE["spark-streaming-kafka"]
        yield Use(fact, cell, line, found[0], fact.instead)
    for setting in _SETTING.findall(text):
        if fact_of := TABLE.get(setting):
            yield Use(fact_of, cell, line, setting, "")


class _Reader:
    def __init__(self, blocks: list[Block], text: str) -> None:
        self._blocks = blocks
        self._names_brokers = SERVERS in text
        self._streams = "pyspark.streaming" in text or "import dstreams" in text or "from dstreams" in text
        self.known: dict[tuple[Any, ...], _Kind] = {}
        self.uses: list[Use] = []

    def read(self) -> None:
        """Go through the program once."""
        self.uses = []
        self._later: list[tuple[Any, _Scope, int | None]] = []
        self._cell: int | None = None
        self._guarded = False
        self._quiet = False
        self._bases: dict[ast.ClassDef, list[ast.ClassDef]] = {}
        self._module = module = _Scope()
        for block in self._blocks:
            self._cell = block.cell
            self._body(block.tree.body if block.tree is not None else [], module)
        while self._later:
            function, scope, self._cell = self._later.pop(0)
            self._enter(function, scope)

    # ------------------------------------------------------------------ what is found

    def _use(self, fact: Fact, node: ast.AST, name: str = "", instead: str = "") -> None:
        optional = self._guarded and isinstance(node, ast.Import | ast.ImportFrom)
        if not self._quiet and not (optional and fact.verdict == CHANGE):
            # In a chain of calls over several lines, that of the name.
            line: int = getattr(node, "end_lineno" if isinstance(node, ast.Attribute) else "lineno", 1)
            self.uses.append(Use(fact, self._cell, line, name or fact.name, instead or fact.instead))

    def _learn(self, key: tuple[Any, ...], kind: _Maybe) -> None:
        if kind is not None:
            known = self.known.setdefault(key, kind)
            if known != kind:
                self.known[key] = _UNSURE

    # ------------------------------------------------------------------ statements

    def _body(self, statements: list[ast.stmt], scope: _Scope) -> None:
        for statement in statements:
            self._statement(statement, scope)

    def _statement(self, node: ast.stmt, scope: _Scope) -> None:
        match node:
            case ast.Import():
                self._import(node, scope)
            case ast.ImportFrom():
                self._import_from(node, scope)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                for expression in [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]:
                    self._kind(expression, scope)
                scope.names[node.name] = _Kind("function", node)
                self._later.append((node, scope, self._cell))
            case ast.ClassDef():
                for expression in node.decorator_list:
                    self._kind(expression, scope)
                bases = [self._kind(base, scope) for base in node.bases]
                self._bases[node] = [kind.of for kind in bases if kind is not None and kind.sort == "local class"]
                scope.names[node.name] = _Kind("local class", node)
                inside = _Scope(scope, owner=node)
                self._body(node.body, inside)
                for name, kind in inside.names.items():
                    self._learn(("attribute", node, name), None if kind and kind.sort == "function" else kind)
            case ast.Assign():
                kind = self._kind(node.value, scope)
                for target in node.targets:
                    self._bind(target, kind, node.value, scope)
            case ast.AnnAssign():
                kind = self._kind(node.value, scope) if node.value is not None else None
                self._bind(node.target, kind or self._annotated(node.annotation, scope), node.value, scope)
            case ast.For() | ast.AsyncFor():
                self._bind(node.target, _element(self._kind(node.iter, scope)), None, scope)
                self._body([*node.body, *node.orelse], scope)
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    kind = self._kind(item.context_expr, scope)
                    if item.optional_vars is not None:
                        self._bind(item.optional_vars, kind, None, scope)
                self._body(node.body, scope)
            case ast.If():
                self._kind(node.test, scope)
                before = dict(scope.names)
                self._body(node.body, scope)
                after, scope.names = scope.names, before
                self._body(node.orelse, scope)
                scope.names |= {name: kind for name, kind in after.items() if kind or name not in scope.names}
            case ast.Try():
                outside = self._guarded
                self._guarded = outside or _optional(node)
                self._body(node.body, scope)
                self._guarded = outside
                for handler in node.handlers:
                    self._body(handler.body, scope)
                self._body([*node.orelse, *node.finalbody], scope)
            case ast.Global():
                scope.shared.update(node.names)
            case ast.Return():
                kind = self._kind(node.value, scope) if node.value is not None else None
                self._learn(("result", scope.function), kind)
            case ast.Expr(value=ast.Constant()):
                pass  # a docstring is read by people
            case _:
                for child in ast.iter_child_nodes(node):
                    if isinstance(child, ast.expr):
                        self._kind(child, scope)
                    elif isinstance(child, ast.stmt):
                        self._statement(child, scope)
                    elif isinstance(child, ast.match_case | ast.ExceptHandler):
                        self._body(child.body, scope)

    def _import(self, node: ast.Import, scope: _Scope) -> None:
        for alias in node.names:
            path, name = _old_name(alias.name), alias.name.partition(".")[0]
            self._module_use(path, node)
            kind = _module(path if alias.asname else _old_name(name), name == "dstreams")
            scope.names[alias.asname or name] = kind

    def _import_from(self, node: ast.ImportFrom, scope: _Scope) -> None:
        path = _old_name(node.module or "") if not node.level else ""
        for alias in node.names:
            if alias.name == "*":
                self._module_use(path, node)
                scope.names |= {name: _Kind("class", name) for name in EXPORTS.get(path, ())}
            else:
                of_ours = node.module is not None and node.module.partition(".")[0] == "dstreams"
                scope.names[alias.asname or alias.name] = self._name_of(path, alias.name, node, of_ours)

    def _module_use(self, path: str, node: ast.AST) -> None:
        if path in TABLE:
            self._use(TABLE[path], node)
        elif path in MODULES:
            if not isinstance(node, ast.Attribute):
                self._use(Fact(path), node)
        elif path.startswith("pyspark.streaming."):
            self._use(missing(path), node)

    def _name_of(self, path: str, name: str, node: ast.AST, of_ours: bool = False) -> _Maybe:
        """Give what a module has under a name."""
        inner = f"{path}.{name}"
        if name in EXPORTS.get(path, ()):
            if path.startswith("pyspark.streaming") and TABLE[name].verdict != CHANGE:  # that is refused when called
                self._use(TABLE[name], node)
            return _Kind("class", name)
        if inner in MODULES or inner in TABLE:
            self._module_use(inner, node)
        elif path in TABLE:
            self._use(TABLE[path], node)
        elif path.startswith("pyspark.streaming") and not of_ours:
            self._use(missing(inner), node)
        return _module(inner, of_ours)

    def _bind(self, target: ast.expr, kind: _Maybe, value: ast.expr | None, scope: _Scope) -> None:
        match target:
            case ast.Name(id=name):
                if isinstance(value, ast.Constant) and value.value is None and scope.look_up(name):
                    return  # `ssc = None` before or after: what it is when it is used
                if name in scope.shared:
                    self._module.names[name] = kind
                    self._learn(("shared", name), kind)
                else:
                    scope.names[name] = kind
            case ast.Attribute(value=of, attr=name):
                owner = self._kind(of, scope)
                if owner is not None and owner.sort in ("object", "local class"):
                    self._learn(("attribute", owner.of, name), kind)
                elif owner is not None and owner.sort == "class":  # a method of the program's own for the class
                    self._learn(("attribute", name), _UNSURE)
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                pairs: list[Any] = list(value.elts) if isinstance(value, ast.Tuple | ast.List) else []
                same = len(pairs) == len(targets)
                for number, each in enumerate(targets):
                    one = self._silent(pairs[number], scope) if same else _element(kind)
                    self._bind(each, one, pairs[number] if same else None, scope)
            case ast.Starred(value=inner):
                self._bind(inner, kind, None, scope)
            case _:
                self._kind(target, scope)

    # ------------------------------------------------------------------ functions

    def _enter(self, function: Any, outer: _Scope) -> _Maybe:
        """Read the body of a function; give what a lambda returns."""
        owner = None if isinstance(function, ast.Lambda) else outer.owner
        scope = _Scope(outer if owner is None else outer.outer, function)
        given = function.args
        plain = [*given.posonlyargs, *given.args]
        for argument in [*plain, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]:
            annotated = self._annotated(argument.annotation, outer) if argument.annotation is not None else None
            learnt = self.known.get(("parameter", function, argument.arg))
            # By convention, where the program imports it at all.
            usual = _CONTEXT if argument.arg == "ssc" and self._streams else None
            scope.names[argument.arg] = annotated or learnt or usual
        if owner is not None and plain and not _decorated(function, "staticmethod"):
            scope.method_of = owner
            sort = "local class" if _decorated(function, "classmethod") else "object"
            scope.names[plain[0].arg] = _Kind(sort, owner)
        if isinstance(function, ast.Lambda):
            return self._kind(function.body, scope)
        self._body(function.body, scope)
        return None

    def _called(self, function: Any, call: ast.Call, kinds: list[_Maybe], named: dict[str, _Maybe], skip: int) -> None:
        """Learn what a function of the program is called with."""
        plain = [*function.args.posonlyargs, *function.args.args][skip:]
        if not any(isinstance(argument, ast.Starred) for argument in call.args):
            for parameter, kind in zip(plain, kinds, strict=False):
                self._learn(("parameter", function, parameter.arg), kind)
        for name, kind in named.items():
            self._learn(("parameter", function, name), kind)

    def _annotated(self, node: ast.expr | None, scope: _Scope) -> _Maybe:
        match node:
            case ast.Constant(value=str(text)):
                try:
                    return self._annotated(ast.parse(text, mode="eval").body, scope)
                except SyntaxError:
                    return None
            case ast.BinOp(left=left, right=right):
                return self._annotated(left, scope) or self._annotated(right, scope)
            case ast.Subscript(value=value, slice=inner):
                return self._annotated(value, scope) or self._annotated(inner, scope)
            case ast.Name() | ast.Attribute():
                kind = self._silent(node, scope)
                return _Kind("instance", kind.of) if kind is not None and kind.sort == "class" else None
        return None

    # ------------------------------------------------------------------ expressions

    def _silent(self, node: ast.expr, scope: _Scope) -> _Maybe:
        quiet, self._quiet = self._quiet, True
        try:
            return self._kind(node, scope)
        finally:
            self._quiet = quiet

    def _kind(self, node: ast.expr, scope: _Scope) -> _Maybe:
        """What an expression gives; the uses in it are found on the way."""
        match node:
            case ast.Name(id=name):
                return scope.look_up(name) or self.known.get(("shared", name))
            case ast.Attribute():
                return self._attribute(node, scope)
            case ast.Call():
                return self._call(node, scope)
            case ast.Lambda():
                for default in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
                    self._kind(default, scope)
                self._learn(("result", node), self._enter(node, scope))
                return _Kind("function", node)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                inner = _Scope(scope, scope.function)
                for loop in node.generators:
                    self._bind(loop.target, _element(self._kind(loop.iter, inner)), None, inner)
                    for test in loop.ifs:
                        self._kind(test, inner)
                if isinstance(node, ast.DictComp):
                    self._kind(node.key, inner)
                return _many(self._kind(node.value if isinstance(node, ast.DictComp) else node.elt, inner))
            case ast.List(elts=elements) | ast.Tuple(elts=elements) | ast.Set(elts=elements):
                kinds = [self._kind(element, scope) for element in elements]
                return _many(next(filter(None, kinds), None))
            case ast.Subscript():
                self._kind(node.slice, scope)
                return _element(self._kind(node.value, scope))
            case ast.IfExp():
                self._kind(node.test, scope)
                kinds = [self._kind(node.body, scope), self._kind(node.orelse, scope)]
                return next(filter(None, kinds), None)
            case ast.BoolOp():
                kinds = [self._kind(value, scope) for value in node.values]
                return next(filter(None, kinds), None)
            case ast.NamedExpr():
                kind = self._kind(node.value, scope)
                self._bind(node.target, kind, node.value, scope)
                return kind
            case ast.Starred() | ast.Await():
                return self._kind(node.value, scope)
            case ast.Constant(value=str(text)):
                if not self._quiet:
                    self.uses += uses_in_text(self._cell, node.lineno, text)
                return None
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._kind(child, scope)
        return None

    def _attribute(self, node: ast.Attribute, scope: _Scope) -> _Maybe:
        base = self._kind(node.value, scope)
        if base is None or base == _UNSURE or base.sort == "many":
            return self._member(TABLE[TELLING[node.attr]], node) if node.attr in TELLING else None
        if base.sort in ("module", "our module"):
            return self._name_of(base.of, node.attr, node, base.sort == "our module")
        if base.sort in ("class", "instance"):
            fact = find(base.of, node.attr)
            own = ("attribute", node.attr) in self.known
            return self._member(fact, node) if fact is not None and not own else None
        if base.sort in ("object", "local class"):
            for owner in self._lineage(base.of):
                if known := self.known.get(("attribute", owner, node.attr)):
                    return known
                if method := _method(owner, node.attr):
                    return _Kind("function", method)
            return self._member(TABLE[TELLING[node.attr]], node) if node.attr in TELLING else None
        if isinstance(node.value, ast.Attribute) and node.value.attr == "_jssc" and self.uses:
            last = self.uses[-1]
            if last.fact.name == "StreamingContext._jssc" and f"StreamingContext.{node.attr}" in TABLE:
                # The context has a method of that name itself.
                call = "" if node.attr == "sparkContext" else "(...)"
                self.uses[-1] = last._replace(instead=f"{ast.unparse(node.value.value)}.{node.attr}{call}")
        return None

    def _lineage(self, node: ast.ClassDef) -> Iterator[ast.ClassDef]:
        """A class of the program, then those that it is derived from."""
        seen = [node]
        for each in seen:
            seen += [base for base in self._bases.get(each, ()) if base not in seen]
            yield each

    def _member(self, fact: Fact, node: ast.Attribute) -> _Kind:
        self._use(fact, node)
        return _Kind("member", fact)

    def _call(self, node: ast.Call, scope: _Scope) -> _Maybe:
        callee = self._kind(node.func, scope)
        kinds = [self._kind(argument, scope) for argument in node.args]
        named = {word.arg or "**": self._kind(word.value, scope) for word in node.keywords}
        if callee is None:
            derived = scope.method_of if isinstance(node.func, ast.Name) and node.func.id == "super" else None
            return _Kind("object", self._bases[derived][0]) if derived is not None and self._bases[derived] else None
        if callee.sort == "class":
            if TABLE[callee.of].verdict == CHANGE:
                self._use(TABLE[callee.of], node)
            self._arguments(callee.of, node)
            return _Kind("instance", callee.of)
        if callee.sort == "member":
            self._arguments(callee.of.name, node)
            if callee.of.name == "KafkaUtils.createStream" and self._without_brokers(node):
                self._use(TABLE["KafkaUtils.createStream(zkQuorum)"], node)
            return _Kind("instance", callee.of.gives) if callee.of.gives else None
        if callee.sort == "function":
            owner = self._silent(node.func.value, scope) if isinstance(node.func, ast.Attribute) else None
            bound = owner is not None and not _decorated(callee.of, "staticmethod")
            if owner is not None and owner.sort == "local class":  # Base.__init__(self, ...) gives all arguments
                bound = _decorated(callee.of, "classmethod")
            self._called(callee.of, node, kinds, named, int(bound))
            return self.known.get(("result", callee.of))
        if callee.sort == "local class":
            if made := next(filter(None, (_method(each, "__init__") for each in self._lineage(callee.of))), None):
                self._called(made, node, kinds, named, 1)
            return _Kind("object", callee.of)
        return None

    def _arguments(self, name: str, call: ast.Call) -> None:
        """Look for arguments of which there is something to say."""
        words = {word.arg for word in call.keywords}
        plain = [isinstance(argument, ast.Starred) for argument in call.args]
        for fact in _ARGUMENTS:
            of, _, word = fact.name.rstrip(")").partition("(")
            at = fact.position or 0
            if of == name and (word in words or (len(plain) > at and not any(plain[: at + 1]))):
                self._use(fact, call)

    def _without_brokers(self, call: ast.Call) -> bool:
        """Whether a ``createStream`` of Kafka surely has a ZooKeeper's address only."""
        if self._names_brokers or any(word.arg is None for word in call.keywords):
            return False
        if any(isinstance(argument, ast.Starred) for argument in call.args):
            return False
        given: ast.expr | None = call.args[4] if len(call.args) > 4 else None
        given = next((word.value for word in call.keywords if word.arg == "kafkaParams"), given)
        match given:
            case None | ast.Constant(value=None):
                return True
            case ast.Dict(keys=keys):
                texts = [key.value if isinstance(key, ast.Constant) else None for key in keys]
                return None not in texts and not _BROKERS.intersection(texts)
        return False


# ---------------------------------------------------------------------- helpers


def _old_name(path: str) -> str:
    """The old engine's name of a module of this package; other names stay."""
    return _OLD_NAMES.get(path, path)


def _module(path: str, of_ours: bool = False) -> _Maybe:
    known = path in ("pyspark", "pyspark.mllib") or path in MODULES or path in EXPORTS
    return _Kind("our module" if of_ours else "module", path) if known else None


def _many(kind: _Maybe) -> _Maybe:
    return None if kind is None else _Kind("many", kind)


def _element(kind: _Maybe) -> _Maybe:
    return kind.of if kind is not None and kind.sort == "many" else None


def _method(node: ast.ClassDef, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    for each in node.body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name == name:
            return each
    return None


def _decorated(function: Any, name: str) -> bool:
    decorators = getattr(function, "decorator_list", [])
    return any(isinstance(each, ast.Name) and each.id == name for each in decorators)


def _optional(node: ast.Try) -> bool:
    """Whether it is there to see if there are names: by what it catches, or by what it tries."""
    if all(isinstance(each, ast.Import | ast.ImportFrom) for each in node.body):
        return True
    caught = [each for handler in node.handlers if handler.type is not None for each in ast.walk(handler.type)]
    return any(isinstance(each, ast.Name) and each.id in _GUARDS for each in caught)


def python_2_names(blocks: list[Block]) -> list[Use]:
    """Names that only Python 2 has, and that Python 3 can parse.

    Parameters
    ----------
    blocks : list of Block
        The program.
    """
    bound: set[str] = set(dir(builtins))
    imported: list[tuple[int | None, int, str]] = []
    read: list[tuple[int | None, int, str]] = []
    guarded: set[int] = set()
    for block in blocks:
        for node in ast.walk(block.tree) if block.tree is not None else ():
            match node:
                case ast.Try() if _optional(node):
                    guarded.update(id(each) for part in node.body for each in ast.walk(part))
                case ast.Import() | ast.ImportFrom():
                    path = node.module or "" if isinstance(node, ast.ImportFrom) else ""
                    if any(alias.name == "*" for alias in node.names) and path not in MODULES:
                        return []  # it may bring any name
                    bound.update(alias.asname or alias.name for alias in node.names)
                    modules = [path] if path else [alias.name for alias in node.names]
                    level = getattr(node, "level", 0)
                    modules += [f"{path}.{alias.name}" for alias in node.names]
                    names = [each for each in modules if each in PYTHON_2_MODULES and not level]
                    imported += [(block.cell, node.lineno, each) for each in names if id(node) not in guarded]
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    bound.add(node.name)
                case ast.arg():
                    bound.add(node.arg)
                case ast.Name(ctx=ast.Load()) if node.id in PYTHON_2_NAMES and id(node) not in guarded:
                    read.append((block.cell, node.lineno, node.id))
                case ast.Name():
                    bound.add(node.id)
    fact = TABLE["Python 2"]
    found = imported + [each for each in read if each[2] not in bound]
    return [Use(fact, cell, line, f"{name} (Python 2)", fact.instead) for cell, line, name in found]
