"""What is used of Spark and PySpark that is not public is in ``dstreams._spark``, and is still there.

With a new Spark a name that has gone fails here, by itself, with the file that uses it.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pyspark
import pytest
from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession
from pyspark.sql import functions as sf
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.udf import UserDefinedFunction

import dstreams

PACKAGE = Path(dstreams.__file__).parent
INSIDE = sorted((PACKAGE / "_spark").glob("[!_]*.py"))
OUTSIDE = sorted(file for file in PACKAGE.rglob("*.py") if "_spark" not in file.relative_to(PACKAGE).parts)
DOCUMENTED = {
    "pyspark", "pyspark.errors", "pyspark.sql", "pyspark.sql.streaming.query", "pyspark.sql.types",
    "pyspark.sql.streaming.stateful_processor",
}  # fmt: skip
"""Modules of PySpark's that anybody may import from; the rest of it is the business of ``dstreams._spark``."""
JVM_NAME = re.compile(r"(org\.apache|scala|java)\.[\w.$]+")
NOT_OF_THE_JVM = ("org.apache.spark.sql.", "org.apache.spark.sql.catalyst.", "org.apache.spark.streaming",
                  "org.apache.spark.streaming.scheduler.StreamingListener", "org.apache.spark.sql.catalyst.optimizer.",
                  "org.apache.spark.sql.execution.streaming.state.")  # fmt: skip
"""What names begin with."""


def own_names(tree: ast.AST) -> set[str]:
    """Private names that a file defines itself."""
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    stored = {
        node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    return defined | stored


def private_attributes(file: Path) -> Iterator[ast.Attribute]:
    """Private attributes of objects that are not the file's own."""
    tree = ast.parse(file.read_text())
    own = own_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr) and node.attr not in own:
            yield node


def jvm_names(file: Path) -> set[str]:
    """Classes of the JVM, with a method or a field where one is named, that a file mentions."""
    module = importlib.import_module(f"dstreams._spark.{file.stem}")
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            known = all(
                isinstance(part, ast.Constant) or ast.unparse(part)[3:-2] in vars(module) for part in node.values
            )
            if known:
                found.add(eval(compile(ast.Expression(node), str(file), "eval"), vars(module)))
        elif isinstance(node, ast.Attribute) and (chain := re.fullmatch(r"jvm(?:_of\(sc\))?\.(.+)", ast.unparse(node))):
            found.add(chain[1])
    names = {name for name in found if JVM_NAME.fullmatch(name)}
    longer = {name for name in names if any(other.startswith(f"{name}.") for other in names)}
    return names - longer - set(NOT_OF_THE_JVM)


def lookup(sc: SparkContext, name: str) -> str | None:
    """Say what is not there of a name; None if all is."""
    find = sc._jvm.java.lang.Class.forName
    loader = sc._jvm.java.lang.Thread.currentThread().getContextClassLoader()
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        for form in (".".join(parts[:length]), ".".join(parts[: length - 1]) + "$" + parts[length - 1]):
            try:
                found = find(form, False, loader)
            except Py4JError:
                continue
            rest = parts[length:]
            members = {str(each.getName()) for each in [*found.getMethods(), *found.getFields()]} if rest else set()
            return None if not rest or rest[0] in members else f"{form} has no {rest[0]}"
    return f"there is no {name}"


# The connector to Kafka comes with --packages.
@pytest.mark.parametrize("file", [file for file in INSIDE if file.stem != "kafka"], ids=lambda file: file.stem)
def test_the_jvm_has_what_is_named(spark_context, file):
    missing = {name: problem for name in sorted(jvm_names(file)) if (problem := lookup(spark_context, name))}
    assert not missing, f"Spark {pyspark.__version__} has changed what dstreams/_spark/{file.name} uses: {missing}"


def test_names_of_the_jvm_are_found(spark_context):
    """The look-up itself: of each kind one that is there, and one that is not."""
    there = ["org.apache.spark.rdd.PartitionPruningRDD.create", "scala.reflect.ClassTag.Object", "java.util.HashMap",
             "scala.collection.immutable.Range$.MODULE$"]  # fmt: skip
    assert [lookup(spark_context, name) for name in there] == [None] * 4
    assert lookup(spark_context, "org.apache.spark.rdd.NoSuchRDD") == "there is no org.apache.spark.rdd.NoSuchRDD"
    assert lookup(spark_context, "java.util.HashMap.x") == "java.util.HashMap has no x"
    assert "org.apache.spark.rdd.PartitionPruningRDD.create" in jvm_names(PACKAGE / "_spark" / "plan.py")


def test_pyspark_has_what_is_used(spark_context):
    """Each private attribute, on an object that has it."""
    session = SparkSession(spark_context)
    frame = session.range(1)
    udf = UserDefinedFunction(str, "string")
    rdd = spark_context.parallelize([1])
    broadcast = spark_context.broadcast(1)
    streaming = session.readStream.format("rate").load()
    owners = [
        (SparkContext, ["_active_spark_context", "_gateway", "_jvm", "_ensure_initialized"]),
        (spark_context, ["_conf", "_gateway", "_jsc", "_jvm", "_pickled_broadcast_vars", "_serialize_to_jvm"]),
        (SparkSession, ["_activeSession", "_get_j_spark_session_class", "_instantiatedSession"]),
        (session, ["_jsparkSession", "_parse_ddl"]),
        (frame, ["_jdf"]),
        (rdd, ["_jrdd", "_jrdd_deserializer", "_reserialize"]),
        (sf.lit(1), ["_jc"]),
        (frame.groupBy("id"), ["_jgd"]),
        (udf, ["_judf"]),
        (broadcast, ["_jbroadcast", "_path"]),
        (streaming.writeStream, ["_jwrite"]),
        (StreamingQuery(None), ["_jsq"]),
    ]
    pairs = [(owner, name) for owner, names in owners for name in names]
    gone = [f"{type(owner).__name__}.{name}" for owner, name in pairs if not hasattr(owner, name)]
    assert not gone, f"PySpark {pyspark.__version__} has changed what dstreams._spark uses: {gone}"
    used = {node.attr for file in INSIDE for node in private_attributes(file)}
    ours = {name for file in INSIDE for name in own_names(ast.parse(file.read_text()))}
    assert used - ours == {name for _, name in pairs} - ours, "the list above is not complete"
    assert "_jvm" in inspect.signature(SparkConf.__init__).parameters


def test_nothing_outside_touches_the_insides():
    theirs = {node.attr for file in INSIDE for node in private_attributes(file)}
    found = []
    for file in OUTSIDE:
        tree = ast.parse(file.read_text())
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            where = f"{file.relative_to(PACKAGE)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pyspark"):
                private = [alias.name for alias in node.names if alias.name.startswith("_")]
                if node.module not in DOCUMENTED or private:
                    found.append(f"{where} imports from {node.module}")
            named = isinstance(node, ast.Constant) and str(node.value).startswith("org.apache.spark.")
            if named and id(node) not in docs:
                found.append(f"{where} names {node.value}")
        own = own_names(tree)
        for node in private_attributes(file):
            if node.attr in theirs - own and not ast.unparse(node.value).startswith(("self", "cls")):
                found.append(f"{file.relative_to(PACKAGE)}:{node.lineno} uses {ast.unparse(node)}")
    assert not found, f"what is not public of Spark belongs into dstreams/_spark: {found}"
