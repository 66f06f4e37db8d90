"""``python -m dstreams check``: what is found in programs, without running them."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from pyspark import RDD, Broadcast, SparkConf, SparkContext
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql.streaming import DataStreamReader, DataStreamWriter, StreamingQuery

from dstreams._check.command import check, command
from dstreams._compatibility import CHANGE, EXPORTS, MODULES, NOTE, OLD_KAFKA, RUNS, TABLE, TELLING

HEAD = "from pyspark import SparkContext\nfrom pyspark.streaming import StreamingContext\n"


@pytest.fixture
def found(tmp_path):
    """Give a function: uses of a program, each ``line: name``, without those that simply run."""

    def uses(code, head=HEAD, verdicts=(NOTE, CHANGE)):
        path = tmp_path / "app.py"
        path.write_text(head + dedent(code), "utf-8")
        skip = head.count("\n")
        return [f"{use.line - skip}: {use.name}" for use in check(str(path)).uses if use.fact.verdict in verdicts]

    return uses


# ---------------------------------------------------------------------- the table


@pytest.mark.old_engine
def test_every_module_and_name_is_there():
    for module, names in EXPORTS.items():
        ours = importlib.import_module(MODULES.get(module, module))
        for name in names:
            assert hasattr(ours, name), f"{module}.{name}"
            assert name in TABLE


def test_every_public_attribute_is_in_the_table():
    """Names of the package that the table lacks would be said not to be there."""
    for module, name in [
        ("context", "StreamingContext"), ("dstream", "DStream"), ("kafka", "KafkaUtils"), ("kafka", "KafkaDStream"),
        ("kinesis", "KinesisUtils"), ("flume", "FlumeUtils"), ("dstream", "MapWithStateDStream"),
        ("listener", "StreamingListener"),
    ]:  # fmt: skip
        kind = getattr(importlib.import_module(f"dstreams.{module}"), name)
        public = {f"{name}.{member}" for member in vars(kind) if not member.startswith("_")}
        assert public <= TABLE.keys(), public - TABLE.keys()


def test_names_that_tell_are_of_nothing_else():
    kinds = [RDD, Broadcast, SparkConf, SparkContext, Column, DataFrame, SparkSession]
    kinds += [DataStreamReader, DataStreamWriter, StreamingQuery]
    assert TELLING.keys().isdisjoint({name for kind in kinds for name in dir(kind)})
    assert all(fact in TABLE for fact in TELLING.values())


def test_what_needs_a_change_says_what_to_write():
    for fact in TABLE.values():
        assert fact.verdict in (RUNS, NOTE, CHANGE)
        assert bool(fact.instead) == (fact.verdict == CHANGE), fact.name
        assert fact.says or fact.verdict == RUNS, fact.name


def test_check_needs_neither_spark_nor_the_rest_of_the_package():
    code = (
        "import sys; from dstreams.__main__ import main; assert main(['check', sys.argv[1]]) == 0\n"
        "assert not [name for name in sys.modules if name.partition('.')[0] in ('pyspark', 'py4j', 'pyarrow')]\n"
        "print(sorted(name for name in sys.modules if name.startswith('dstreams')))"
    )
    example = Path(__file__).parents[2] / "examples" / "network_wordcount.py"
    done = subprocess.run([sys.executable, "-c", code, example], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(
        ["dstreams", "dstreams.__main__", "dstreams._check", "dstreams._check.command", "dstreams._check.flow",
         "dstreams._check.sources", "dstreams._compatibility", "dstreams._version"]
    )  # fmt: skip


# ---------------------------------------------------------------------- what is found


def test_imports_of_every_kind(found):
    code = """
        import pyspark.streaming as s
        import pyspark.streaming
        from pyspark import streaming
        from pyspark.streaming import *
        from pyspark.streaming import StreamingContext as SC, context
        import dstreams

        s.StreamingContext(sc, 1)._jssc
        pyspark.streaming.StreamingContext(sc, 1)._jssc
        streaming.StreamingContext(sc, 1)._jssc
        StreamingContext(sc, 1)._jssc
        SC(sc, 1)._jssc
        context.StreamingContext(sc, 1)._jssc
        dstreams.StreamingContext(sc, 1)._jvm
    """
    assert found(code, head="") == [f"{n}: StreamingContext._jssc" for n in range(9, 15)] + [
        "15: StreamingContext._jvm"
    ]


def test_a_context_goes_through_functions_classes_and_branches(found):
    code = """
        def make(conf: dict) -> StreamingContext:
            ssc = StreamingContext(SparkContext(), 1)
            return ssc

        def define(context):
            return context.socketTextStream("h", 1), context._jvm

        def annotated(a: "StreamingContext", b: StreamingContext | None = None):
            a._jvm
            b._jvm

        class Job:
            def __init__(self, ssc):
                self.ssc = ssc
                self.lines = self.ssc.textFileStream("d")

            def run(self):
                self.ssc._jvm
                self.lines.slice(1, 2)
                self.start(self.ssc)

            @staticmethod
            def start(it):
                it._jvm

        ssc = None
        if True:
            ssc = make({})
        else:
            ssc = None
        lines, _ = define(ssc)
        Job(ssc).run()
        (lambda x: x._jvm)(ssc)
        other = StreamingContext.getOrCreate("d", lambda: make({}))
        (other if lines else ssc)._jvm
        streams = [ssc.socketTextStream("h", n) for n in range(3)]
        for stream in streams:
            stream.slice(1, 2)
        streams[0].slice(1, 2)
        ssc.union(*streams).map(str).window(2).slice(1, 2)
        lines.transform(lambda rdd: rdd.slice(1))
        ssc.sparkContext._jvm
    """
    assert [line for line in found(code) if "getOrCreate" not in line] == [
        *(f"{n}: StreamingContext._jvm" for n in (7, 10, 11, 19)),
        "20: DStream.slice",
        *(f"{n}: StreamingContext._jvm" for n in (25, 34, 36)),
        *(f"{n}: DStream.slice" for n in (39, 40, 41)),
    ]


def test_a_global_that_a_function_sets(found):
    code = """
        ssc = None
        def begin():
            global ssc
            ssc = StreamingContext(SparkContext(), 1)
        def end():
            ssc._jvm
        begin()
    """
    assert found(code) == ["7: StreamingContext._jvm"]


def test_of_what_is_not_known_only_telling_names_count(found):
    code = """
        def process(lines, it):
            words = lines.map(str).filter(bool).slice(1, 2)
            it._jvm
            lines.foreachRDD(print)
            it._jssc.stop()
            counted = lines.updateStateByKey(f)
            counted.slice(1, 2)
    """
    assert found(code) == ["6: StreamingContext._jssc", "8: DStream.slice"]


def test_classes_derived_from_each_other(found):
    code = """
        class Base:
            context = None
            other = StreamingContext(SparkContext(), 1)

            def __init__(self, ssc, topic):
                self.ssc = ssc
                self.lines = self.ssc.socketTextStream("h", 1)

            def words(self):
                return self.lines.flatMap(str.split)

        class Derived(Base):
            def __init__(self, context):
                super().__init__(context, "t")
                self.other._jvm

            @classmethod
            def make(cls, it):
                return cls(it)

            def run(self):
                self.words().slice(1, 2)
                self.ssc._jvm

        class OldStyle(Base):
            def __init__(self, context):
                Base.__init__(self, context, "t")
                self.lines.slice(1, 2)

        OldStyle(None)
        Derived.make(StreamingContext(SparkContext(), 1)).run()
    """
    expected = ["16: StreamingContext._jvm", "23: DStream.slice", "24: StreamingContext._jvm", "29: DStream.slice"]
    assert found(code) == expected


def test_what_is_tried_counts(found):
    """Programs of production have all of themselves within one `try`."""
    code = """
        try:
            from pyspark.streaming.mqtt import MQTTUtils
            ssc = StreamingContext(SparkContext(), 1)
            ssc._jvm
            xrange(3)
        except Exception as error:
            print(error)
    """
    assert found(code) == ["3: pyspark.streaming.mqtt", "5: StreamingContext._jvm", "6: xrange (Python 2)"]


def test_a_parameter_that_is_called_as_contexts_are(found):
    code = "def f(ssc, other):\n    ssc._jvm\n    other._jvm\n"
    assert found(code) == ["2: StreamingContext._jvm"]
    assert found(code, head="import pyspark\n") == [], "it may be anything"


def test_expressions_that_are_nested_too_deeply(tmp_path):
    (tmp_path / "app.py").write_text(f"x = {' + '.join(['a'] * 10_000)}\n")
    with pytest.raises(ValueError, match=r"app\.py cannot be read: its expressions are nested too deeply"):
        check(str(tmp_path / "app.py"))


def test_a_name_that_gets_another_value(found):
    code = """
        ssc = StreamingContext(SparkContext(), 1)
        lines = ssc.socketTextStream("h", 1)
        lines.slice(1, 2)
        lines = open("lines")
        lines.slice(1, 2)
    """
    assert found(code) == ["4: DStream.slice"]


def test_what_there_is_to_write_for_jssc(tmp_path):
    path = tmp_path / "app.py"
    path.write_text(f"{HEAD}job = StreamingContext(SparkContext(), 1)\njob._jssc.stop(True, True)\njob._jssc.ssc()\n")
    known, unknown = (use for use in check(str(path)).uses if use.fact.verdict == CHANGE)
    assert known.instead == "job.stop(...)"
    assert unknown.instead == TABLE["StreamingContext._jssc"].instead


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("from pyspark.streaming.mqtt import MQTTUtils", "pyspark.streaming.mqtt"),
        ("import pyspark.streaming.mqtt as m", "pyspark.streaming.mqtt"),
        ("from pyspark.streaming import mqtt", "pyspark.streaming.mqtt"),
        ("from pyspark.streaming import SteamingContext", "pyspark.streaming.SteamingContext"),
        ("import pyspark.streaming.zeromq", "pyspark.streaming.zeromq"),
        ("from pyspark.streaming.util import TransformFunction as T; T(sc, f)", "TransformFunction"),
        ("from pyspark.streaming import DStream; DStream(j, ssc, s)", "DStream(jstream)"),
        ("StreamingContext(sc, 1, j)", "StreamingContext(jssc)"),
        ("StreamingContext(sc, jssc=j)", "StreamingContext(jssc)"),
        ("StreamingContext(sc, 1).fileStream('d')", "StreamingContext.fileStream"),
        ("StreamingContext(sc, 1).textFilesStream('d')", "StreamingContext.textFilesStream"),
        ("StreamingContext(sc, 1).textFileStream('d').saveAsHadoopFiles('p')", "DStream.saveAsHadoopFiles"),
        ("StreamingContext(sc, 1).textFileStream('d')._jdstream.dstream()", "DStream._jdstream"),
        ("from pyspark.streaming.flume import FlumeUtils as F; F.createPollingStream(s, [])",
         "FlumeUtils.createPollingStream"),
        ("import pyspark; pyspark.StorageLevel.MEMORY_AND_DISK_SER", "StorageLevel.MEMORY_AND_DISK_SER"),
        ("x = f'--packages org.apache.spark:spark-streaming-kafka-0-8_2.11:{v}'", "spark-streaming-kafka-0-8_2.11:"),
        ("print 'a'", "syntax: Missing parentheses in call to 'print'. Did you mean print(...)?"),
        ("if raw_input(): pass", "raw_input (Python 2)"),
        ("import Queue", "Queue (Python 2)"),
        ("from urllib2 import urlopen", "urllib2 (Python 2)"),
        ("from itertools import chain, imap", "itertools.imap (Python 2)"),
    ],
)  # fmt: skip
def test_what_needs_a_change(found, code, name):
    assert found(code, verdicts=(CHANGE,)) == [f"1: {name}"]


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    from pyspark.streaming.mqtt import MQTTUtils\nexcept ImportError:\n    MQTTUtils = None",
        "try:\n    from pyspark.streaming.mqtt import MQTTUtils\nexcept Exception:\n    MQTTUtils = None",
        "import dstreams\ndstreams.compat.activate()\ndstreams.errors.BatchError, dstreams.kafka.with_kafka",
        "import pyspark.streaming as s\ns.DStream.save = save\nStreamingContext(sc, 1).textFileStream('d').save()",
        "import dstreams.kafka\ndstreams.testing.StreamTest, dstreams.kafka.KafkaUtils",
        "from pyspark.streaming.util import TransformFunction",  # only calls are refused
        "StreamingContext(sc, 1)._sc",
        "def f():\n    '''Run with --packages org.apache.spark:spark-streaming-kafka-0-8_2.11:2.4.5'''",
        "from functools import reduce\nreduce(f, [])",
        "try:\n    xrange\nexcept NameError:\n    xrange = range\nxrange(1)",
        "try:\n    import Queue\nexcept ImportError:\n    import queue as Queue",
        "from six.moves import *\nxrange(1)",
        "from .Queue import it",
        "from pyspark.streaming import StreamingContext, Seconds, StateSpec",
        "from dstreams.testing import StreamTest",
        "class Listener(StreamingListener):\n    def onBatchCompleted(self, b): b._jvm",
    ],
)
def test_what_needs_none(found, code):
    assert found(code, verdicts=(CHANGE,)) == []


KAFKA = "from pyspark.streaming.kafka import KafkaUtils\nssc = StreamingContext(sc, 1)\n"


@pytest.mark.parametrize(
    ("call", "refused"),
    [
        ("createStream(ssc, 'zk:2181', 'g', {'t': 1})", True),
        ("createStream(ssc, 'zk:2181', 'g', {'t': 1}, None)", True),
        ("createStream(ssc, 'zk:2181', 'g', {'t': 1}, kafkaParams={'group.id': 'g'})", True),
        ("createStream(ssc, 'zk:2181', 'g', {'t': 1}, {'metadata.broker.list': 'h:1'})", False),
        ("createStream(ssc, 'zk:2181', 'g', {'t': 1}, kafkaParams=parameters)", False),
        ("createStream(ssc, 'zk:2181', 'g', {'t': 1}, {**parameters})", False),
        ("createStream(*arguments)", False),
        ("createStream(ssc, **arguments)", False),
        ("createDirectStream(ssc, ['t'], {'metadata.broker.list': 'h:1'})", False),
    ],
)
def test_streams_of_kafka_need_brokers(found, call, refused):
    assert found(f"{KAFKA}KafkaUtils.{call}", verdicts=(CHANGE,)) == (
        ["3: KafkaUtils.createStream(zkQuorum)"] if refused else []
    )


def test_brokers_in_a_setting(found):
    code = f"{KAFKA}KafkaUtils.createStream(ssc, 'zk:2181', 'g', topics)\n"
    assert found(code, verdicts=(CHANGE,))
    assert found(f"{code}conf.set('spark.streaming.dstreams.kafka.bootstrap.servers', 'h:1')", verdicts=(CHANGE,)) == []


def test_arguments_and_settings_of_which_there_is_something_to_say(found):
    code = """
        conf.set("spark.streaming.concurrentJobs", "2").set("spark.streaming.blockInterval", "1s")
        lines = StreamingContext(sc, 1).socketTextStream("h", 1, StorageLevel.MEMORY_ONLY)
        lines = StreamingContext(sc, 1).socketTextStream(*address)
        lines = StreamingContext(sc, 1).socketTextStream("h", port=1, storageLevel=level)
        pairs.reduceByKeyAndWindow(f, g, 10, 2, 4, filterFunc=h)
    """
    assert found(code) == [
        "2: spark.streaming.concurrentJobs", "3: StreamingContext.socketTextStream(storageLevel)",
        "5: StreamingContext.socketTextStream(storageLevel)", "6: DStream.reduceByKeyAndWindow(filterFunc)",
    ]  # fmt: skip


# ---------------------------------------------------------------------- files


def notebook(path, *cells, language="python", **more):
    code = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    cells = [{"cell_type": "markdown", "source": "# Title"}, *code]
    path.write_text(json.dumps({"cells": cells, "metadata": {"kernelspec": {"language": language}}, **more}))
    return str(path)


def test_a_notebook(tmp_path):
    path = notebook(
        tmp_path / "n.ipynb",
        "%matplotlib inline\n!pip install x\nfrom pyspark.streaming import StreamingContext as S\nfiles = !ls\nS?\n",
        "%%bash\nspark-submit --packages org.apache.spark:spark-streaming-kafka-0-8_2.11:2.4.5 app.py",
        "%%time\nssc = S(sc, 1)\nprint('%s'\n      % ssc._jssc)",
        "print 'a'",
        "await ssc._jvm",
    )
    uses = [(use.cell, use.line, use.name) for use in check(path).uses if use.fact.verdict != RUNS]
    assert uses == [
        (1, 1, "notebook"),
        (3, 2, "spark-streaming-kafka-0-8_2.11:2.4.5"),
        (4, 4, "StreamingContext._jssc"),
        (5, 1, "syntax: Missing parentheses in call to 'print'. Did you mean print(...)?"),
        (6, 1, "StreamingContext._jvm"),
    ]


def test_notebooks_of_other_kinds(tmp_path):
    old = {"worksheets": [{"cells": [{"cell_type": "code", "input": ["import pyspark.streaming\n"]}]}]}
    (tmp_path / "old.ipynb").write_text(json.dumps(old))
    assert [use.name for use in check(str(tmp_path / "old.ipynb")).uses] == ["notebook", "pyspark.streaming"]
    assert check(notebook(tmp_path / "s.ipynb", "import org.apache.spark", language="scala")).uses == []
    activated = "import dstreams.compat\ndstreams.compat.activate()\nfrom pyspark.streaming import StreamingContext"
    assert check(notebook(tmp_path / "a.ipynb", activated)).verdict == RUNS


def test_a_shell_script_and_a_program_without_an_ending(tmp_path):
    script = tmp_path / "run.sh"
    script.write_text("#!/bin/sh\nspark-submit \\\n  --packages org.apache.spark:spark-streaming-kafka_2.10:1.6.0 \\\n"
                      "  --conf spark.streaming.concurrentJobs=2 app.py\n")  # fmt: skip
    package, setting = check(str(script)).uses
    assert (package.line, package.fact.verdict, setting.line, setting.fact.verdict) == (3, CHANGE, 4, NOTE)
    assert "--packages org.apache.spark:spark-sql-kafka-0-10_2.13:" in package.instead
    assert "VERSION" not in package.instead and OLD_KAFKA.fullmatch(package.name)
    program = tmp_path / "job"
    program.write_text(f"#!/usr/bin/env python\n{HEAD}StreamingContext(sc, 1)._jssc\n")
    assert check(str(program)).verdict == CHANGE


def test_files_that_no_python_reads(tmp_path):
    """As bytes: their encoding is the program's own matter."""
    for code in (b"# coding: latin-1\nimport pyspark.streaming as \xe9\n", b"\xef\xbb\xbfimport pyspark.streaming\n"):
        (tmp_path / "good.py").write_bytes(code)
        assert check(str(tmp_path / "good.py")).verdict == RUNS
    for code in (b"x = '\xe9'\nimport pyspark\n", b"import pyspark\x00\n", b"x = '\\d'; print 1\n"):
        (tmp_path / "bad.py").write_bytes(code)
        assert check(str(tmp_path / "bad.py")).verdict == CHANGE


# ---------------------------------------------------------------------- the command


@pytest.fixture
def folder(tmp_path):
    """Give a folder with programs of each kind, and with what is none of the user's."""
    root = tmp_path / "jobs"
    files = {
        "good.py": f"{HEAD}StreamingContext(SparkContext(), 1).textFileStream('d').pprint()\n",
        "sub/noted.py": f"{HEAD}StreamingContext.getOrCreate('d', f)\n",
        "sub/changed.py": f"{HEAD}ssc = StreamingContext(SparkContext(), 1)\nssc._jvm\n",
        "other.py": "print('no streams')\n",
        "python2.py": "for n in xrange(3): pass\n",
        "template.py": "{{ cookiecutter }} {% if %}\n",
        "run.sh": "--packages org.apache.spark:spark-streaming-kafka_2.10:1.6.0\n",
        ".hidden/changed.py": f"{HEAD}StreamingContext(sc, 1)._jvm\n",
        "environment/pyvenv.cfg": "",
        "environment/lib/changed.py": f"{HEAD}StreamingContext(sc, 1)._jvm\n",
        "site-packages/changed.py": f"{HEAD}StreamingContext(sc, 1)._jvm\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_what_is_shown(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "110")
    assert command(["."]) == 1
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out == dedent("""\
        good.py: runs as it is
          runs    StreamingContext (2), StreamingContext.textFileStream (3), DStream.pprint (3)

        sub/changed.py: needs a change
          runs    StreamingContext (2)
          change  StreamingContext._jvm (4)
                    there is no DStream of the JVM behind it
                    instead: ssc.sparkContext._jvm is the JVM
                    docs/differences.md: `_jssc`, `_jdstream`, `DStream(jstream, ssc, serializer)`

        sub/noted.py: runs, with notes
          runs    StreamingContext (2)
          note    StreamingContext.getOrCreate (3)
                    a checkpoint directory of the old engine is recognised and refused: name a new one, and the
                    program starts afresh in it
                    docs/differences.md: what is in a checkpoint directory

        3 programs: 1 runs as it is, 1 with notes, 1 needs a change; 3 files without DStreams.
        """)


def test_exit_codes(folder, capsys):
    assert command([str(folder / "good.py")]) == 0
    assert command([str(folder / "sub" / "noted.py")]) == 0
    assert command([str(folder / "other.py")]) == 0
    assert capsys.readouterr().out.endswith("No program uses DStreams; 1 file without DStreams.\n")
    assert command([str(folder / "run.sh")]) == 1
    for name in ("template.py", "python2.py"):
        assert command([str(folder / name)]) == 1, "it was given, and Python cannot run it"


def test_what_cannot_be_read(folder, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.ipynb").write_text("{}")
    paths = [str(tmp_path / name) for name in ("nothing.py", "empty", "bad.ipynb")]
    assert command([*paths, str(folder / "good.py")]) == 2
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [
        f"dstreams: check: there is no file or folder {paths[0]}",
        f"dstreams: check: there is no program (.py) and no notebook (.ipynb) in {paths[1]}",
        f"dstreams: check: {paths[2]} is no notebook: KeyError: 'worksheets'",
    ]
    assert "1 program: 1 runs as it is" in shown.out, "the others are checked all the same"
    with pytest.raises(SystemExit, match="2"):
        command([])


def test_a_file_without_permission(tmp_path, capsys, monkeypatch):
    (tmp_path / "a.py").write_text("")

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert command([str(tmp_path / "a.py")]) == 2
    assert capsys.readouterr().err == f"dstreams: check: {tmp_path / 'a.py'} cannot be read: Permission denied\n"


def test_json(folder, capsys):
    assert command(["--json", str(folder), str(folder / "good.py")]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert [(Path(each["path"]).name, each["verdict"]) for each in shown["programs"]] == [
        ("good.py", "runs"), ("changed.py", "change"), ("noted.py", "note"),
    ]  # fmt: skip
    assert shown["summary"] == {"runs": 1, "note": 1, "change": 1, "without DStreams": 3}
    assert shown["programs"][1]["uses"][-1] == {
        "name": "StreamingContext._jvm",
        "cell": None,
        "line": 4,
        "verdict": "change",
        "says": "there is no DStream of the JVM behind it",
        "instead": "ssc.sparkContext._jvm is the JVM",
        "see": "docs/differences.md: `_jssc`, `_jdstream`, `DStream(jstream, ssc, serializer)`",
    }


def test_colours_on_a_terminal(folder, capsys, monkeypatch):
    good = str(folder / "good.py")
    for variables, coloured in (({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"NO_COLOR": "1"}, False)):
        with monkeypatch.context() as patch:
            for name in ("TERM", "NO_COLOR"):
                patch.delenv(name, raising=False)
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
            command([good])
        assert ("\x1b[32mruns as it is\x1b[0m" in capsys.readouterr().out) == coloured
    command([good])
    assert "\x1b" not in capsys.readouterr().out


def test_a_program_for_python_2_is_told_so_when_it_is_run(tmp_path):
    (tmp_path / "app.py").write_text("print 'a'\n")
    done = subprocess.run(
        [sys.executable, "-m", "dstreams", "app.py"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(f"dstreams: app.py: {TABLE['Python 2'].sentence}\n")
    assert "SyntaxError: Missing parentheses" in done.stderr


def test_the_page_shows_what_is_printed(capsys, monkeypatch):
    root = Path(__file__).parents[2]
    block = (root / "docs" / "check.md").read_text("utf-8").split("```console\n$ python -m dstreams check tests/")[1]
    arguments, _, shown = block.split("```")[0].partition("\n")
    names = arguments.partition("{")[2].partition("}")[0].split(",")
    monkeypatch.chdir(root)
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.setattr("dstreams._check.command._spark_version", lambda: "4.3.0")
    assert command([f"tests/programs/field/{name}.py" for name in names]) == 1
    assert capsys.readouterr().out == shown
