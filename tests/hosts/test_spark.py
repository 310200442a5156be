"""Tests sluicegate.spark in a local session, and on a cluster whose processes are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pyarrow as pa
import pytest
from pyspark import cloudpickle
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, IntegerType, StructField, StructType

import sluicegate
from recipes import command_line, descendants, environment, recipes, shell, supervisors, until, write
from sluicegate import spark as sg

# The functions of this file run on executors, which do not have the file. So they are sent by value.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

COUNT = 200_000
CODE = """
import { tag } from 'tags';
export function transformEvent(event) {
  if (event.n % 1000 === 7) throw new TypeError('seven');
  if (event.n % 50000 === 49999) for (;;);
  if (event.n % 3 === 0) return null;
  if (event.n % 3 === 1) return [event, { copy: event.n, list: [{ a: 1 }, { b: '},{' }] }];
  event.tag = tag(event.n);
  return event;
}
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("code")
    (folder / "lib").mkdir()
    (folder / "lib" / "tags.js").write_text("export const tag = (n) => `tag ${n} ü`;")
    (folder / "t.js").write_text(CODE)
    return folder / "t.js"


def session(master: str, **more: str) -> SparkSession:
    builder = SparkSession.builder.master(master).config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "2")
    for key, value in more.items():
        builder = builder.config(key.replace("__", "."), value)
    made = builder.getOrCreate()
    made.sparkContext.setLogLevel("OFF")
    return made


@pytest.fixture(scope="module")
def local() -> Iterator[SparkSession]:
    made = session("local[2,4]")
    yield made
    made.stop()


def broken(n: int) -> str | None:
    """Returns the content of row n. In a few rows it is not an event."""
    return {11: None, 12: "", 13: "[1]", 14: '{"n":', 15: '{\n"n": 5\n}', 16: '{"a":"x\ny"}'}.get(n % 10_000, json.dumps({"n": n, "pad": "x" * 60}))


def expected(n: int) -> tuple[str, list[Any], str | None]:
    """Returns the verdict, the events and the kind of failure of row n."""
    special = {11: "not_an_object", 13: "not_an_object", 14: "invalid_json", 16: "invalid_json"}.get(n % 10_000)
    if special:
        return "failed", [], special
    if n % 10_000 == 12:
        return "dropped", [], None
    if n % 10_000 == 15:
        return "ok", [{"n": 5, "tag": "tag 5 ü"}], None
    if n % 1000 == 7:
        return "failed", [], "exception"
    if n % 50_000 == 49_999:
        return "failed", [], "timeout"
    event = {"n": n, "pad": "x" * 60}
    if n % 3 == 0:
        return "dropped", [], None
    if n % 3 == 1:
        return "ok", [event, {"copy": n, "list": [{"a": 1}, {"b": "},{"}]}], None
    return "ok", [{**event, "tag": f"tag {n} ü"}], None


def events(spark: SparkSession, count: int = COUNT, partitions: int = 4) -> DataFrame:
    return spark.range(0, count, 1, partitions).select("id", F.udf(broken)("id").alias("value"))


def check(rows: List[Any], count: int = COUNT) -> None:
    """Checks that every row is present once, in order within its partition, with its own result."""
    assert len(rows) == count
    assert sorted(row.id for row in rows) == list(range(count))
    last: dict[int, int] = {}
    for row in rows:
        assert row.id > last.get(row.partition, -1)
        last[row.partition] = row.id
        verdict, out, kind = expected(row.id)
        assert (row.verdict, [json.loads(event) for event in row.events]) == (verdict, out), row
        failure = row.failure and json.loads(row.failure)
        assert (failure and failure["kind"]) == kind, row
        if failure:
            given = broken(row.id)
            assert failure["event"] == ("null" if given is None else given.replace("\n", "\r"))


def transformed(df: DataFrame, code: Path) -> DataFrame:
    out = sg.transform(df, code, libraries=[code.parent / "lib"], keep=["id"], limits={"cpu": "200ms"})
    return out.withColumn("partition", F.spark_partition_id())


def test_each_row_has_its_answer_and_dead_letters_run_again(local: SparkSession, code: Path, binary: Path, tmp_path: Path) -> None:
    rows = transformed(events(local), code).collect()
    check(rows)
    # The dead letters have the line numbers within the partition. `sluicegate run --errors` writes the same dead letters.
    (tmp_path / "in.jsonl").write_text("".join(("null" if (line := broken(n)) is None else line.replace("\n", "\r")) + "\n" for n in range(50_000)))
    command = [binary, "run", "t.js", "-L", "lib", "-q", "-j", "1", "--cpu-limit", "200ms", "--fail-on", "never", tmp_path / "in.jsonl", "--errors", tmp_path / "dead.jsonl"]
    subprocess.run(command, cwd=code.parent, check=True, stdout=subprocess.DEVNULL)
    letters = [json.loads(line) for line in (tmp_path / "dead.jsonl").read_text().splitlines()]
    ours = [json.loads(row.failure) for row in rows if row.failure and row.id < 50_000]
    for theirs, mine in zip(letters, ours, strict=True):
        assert mine.pop("input_file") == "partition 0"
        del theirs["run"], theirs["input_file"]
        assert mine == theirs
    (tmp_path / "letters.jsonl").write_text("".join(row.failure + "\n" for row in rows if row.failure))
    again = subprocess.run([binary, "replay", "--all", tmp_path / "letters.jsonl", "-L", "lib", "--cpu-limit", "200ms"], cwd=code.parent, capture_output=True, text=True)
    failed = sum(row.verdict == "failed" for row in rows)
    assert f"{failed} in = 0 ok + 0 dropped + {failed} failed" in again.stderr, again.stderr


def test_events_become_rows(local: SparkSession, code: Path) -> None:
    out = sg.transform(events(local, 3000), code, libraries={"tags": code.parent / "lib" / "tags.js"})
    rows = sg.explode(out).collect()
    assert rows[0].asDict() == {"id": 1, "event": broken(1)}
    assert len(rows) == sum(len(expected(n)[1]) for n in range(3000))
    typed = sg.explode(out, schema="n bigint, copy bigint, tag string", column="e").where("e.tag is not null").first()
    assert typed is not None and typed.asDict(recursive=True) == {"id": 2, "e": {"n": 2, "copy": None, "tag": "tag 2 ü"}}


@pytest.mark.parametrize(
    ("answers", "error"),
    [('{"verdict":"dropped"}\n' * 4, "more events than it was sent"), ('{"verdict":"dropped"}\n{"verdict":"ok","events":[{}]}\n' * 2, "framed")],
)
def test_answers_that_fit_no_row_are_an_error(answers: str, error: str, local: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The first answer is for the blank line before the two rows.
    (tmp_path / "answers").write_text(answers)
    fake = tmp_path / "sluicegate"
    fake.write_text(f"#!/bin/sh\ncat > /dev/null\ncat {tmp_path}/answers\n")
    fake.chmod(0o755)
    monkeypatch.setenv("SLUICEGATE_BIN", str(fake))
    monkeypatch.setattr(sg.SparkFiles, "get", lambda name: str(tmp_path))
    batch = pa.RecordBatch.from_pydict({"c0": ["{}", "{}"]})
    with pytest.raises(sluicegate.SluicegateError, match=error):
        list(sg._task(sg._Job("archive", "t.js", [], "hash", {}, {}), iter([batch])))


def test_what_is_wrong_is_told_before_any_task_runs(local: SparkSession, code: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.js").write_text("export function transformEvent(event) { return")
    with pytest.raises(sluicegate.LoadError, match="broken.js:1"):
        sg.transform(events(local, 10), tmp_path / "broken.js")
    with pytest.raises(sluicegate.LoadError, match="tags"):
        sg.transform(events(local, 10), code)
    with pytest.raises(ValueError, match="no column 'velue'; there are 'id', 'value'"):
        sg.transform(events(local, 10), code, column="velue")
    with pytest.raises(ValueError, match="not string or binary; make JSON of it first"):
        sg.transform(events(local, 10), code, column="id")
    with pytest.raises(ValueError, match="has the name of one that is added"):
        sg.transform(events(local, 10).withColumnRenamed("id", "verdict"), code)
    with pytest.raises(ValueError, match="would shift verdicts"):
        sg.transform(events(local, 10), code, options=["--unordered"])


def test_binary_columns_odd_names_and_bad_text(local: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "t.js").write_text("export function transformEvent(event, metadata) { event.m = metadata(event).sourceId; return event; }")
    rows = [(1, bytearray(b'{"a":1}')), (2, bytearray(b'{"a":"\xff"}')), (3, None)]
    df = local.createDataFrame(rows, StructType([StructField("the.key", IntegerType()), StructField("a body", BinaryType())]))
    out = sg.transform(df, tmp_path / "t.js", column="a body", metadata={"sourceId": "v"}).collect()
    assert [(row["the.key"], row.verdict, row.events) for row in out] == [(1, "ok", ['{"a":1,"m":"v"}']), (2, "failed", []), (3, "failed", [])]
    assert json.loads(out[1].failure)["event_base64"] and json.loads(out[2].failure)["event"] == "null"


def test_a_first_event_that_looks_like_csv_or_gzip_fails_alone(local: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "t.js").write_text("export function transformEvent(event) { return event; }")
    for first in ("id,name", "[{", "\x1f\x8b\x08"):
        df = local.createDataFrame([(first,), ("1,Ada",), ('{"a":1}',)], "value string").coalesce(1)
        assert [row.verdict for row in sg.transform(df, tmp_path / "t.js").collect()] == ["failed", "failed", "ok"]


def test_an_event_deeper_than_python_can_parse(local: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "t.js").write_text("export function transformEvent(event) { return [event, { list: [{}, {}], text: '\"},{' }, event]; }")
    deep = '{"a":' * 3000 + "1" + "}" * 3000
    (row,) = sg.transform(local.createDataFrame([(deep,)], "value string"), tmp_path / "t.js").collect()
    assert row.events == [deep, '{"list":[{},{}],"text":"\\"},{"}', deep]


def test_a_reader_that_leaves_leaves_no_process(local: SparkSession, code: Path) -> None:
    assert len(transformed(events(local), code).limit(5).collect()) == 5
    until(lambda: not supervisors(os.getpid()))


def test_an_upstream_error_is_told(local: SparkSession, code: Path) -> None:
    def fails(n: int) -> str:
        if n == 15_000:
            raise KeyError("upstream is broken")
        return '{"n":1}'

    df = local.range(0, 20_000, 1, 1).select("id", F.udf(fails)("id").alias("value"))
    with pytest.raises(Exception, match="upstream is broken"):
        sg.transform(df, code, libraries=[code.parent / "lib"]).collect()


def test_streaming_goes_on_where_it_stopped(local: SparkSession, code: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()

    def add(first: int, count: int) -> None:
        text = "".join(json.dumps({"n": n}) + "\n" for n in range(first, first + count))
        (tmp_path / "in" / f".{first}").write_text(text)
        (tmp_path / "in" / f".{first}").rename(tmp_path / "in" / f"{first}.txt")

    def once() -> None:
        stream = local.readStream.text(str(tmp_path / "in"))
        out = sg.transform(stream, code, libraries=[code.parent / "lib"], limits={"cpu": "200ms"}, keep=["value"])
        query = out.writeStream.format("parquet").option("checkpointLocation", str(tmp_path / "checkpoint"))
        query.trigger(availableNow=True).start(str(tmp_path / "out")).awaitTermination()

    add(0, 30_000)
    once()
    add(30_000, 30_000)
    add(60_000, 10)
    once()
    once()
    found = {verdict: count for verdict, count in local.read.parquet(str(tmp_path / "out")).groupBy("verdict").count().collect()}
    failed = sum(n % 1000 == 7 or n % 50_000 == 49_999 for n in range(60_010))
    assert sum(found.values()) == 60_010 and found["failed"] == failed
    letters = local.read.parquet(str(tmp_path / "out")).where("verdict = 'failed'").select("failure").collect()
    assert {json.loads(row.failure)["name"] for row in letters if "exception" in row.failure} == {"TypeError"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[SparkSession]:
    """A session with two executors, which do not have the package until it is sent to them."""
    before = SparkSession.getActiveSession()
    if before is not None:
        before.stop()
    named = os.environ.pop("SLUICEGATE_BIN")
    path = os.environ.pop("PYTHONPATH", None)
    # The executors start with the session and inherit the current variables.
    made = session("local-cluster[2,1,1024]", spark__task__maxFailures="4", spark__executorEnv__TZ="UTC")
    until(lambda: len(executors()) == 2)
    os.environ["SLUICEGATE_BIN"] = named
    if path is not None:
        os.environ["PYTHONPATH"] = path
    sg.install(made)
    yield made
    made.stop()


def executors() -> List[int]:
    return [pid for pid in descendants(os.getpid()) if any("CoarseGrainedExecutorBackend" in word for word in command_line(pid))]


def kill_worker() -> None:
    workers = [child for pid in supervisors(os.getpid()) for child in descendants(pid)]
    os.kill(workers[0], signal.SIGKILL)


def kill_supervisor() -> None:
    os.kill(supervisors(os.getpid())[0], signal.SIGKILL)


def kill_executor() -> None:
    # Only an executor that runs a task.
    running = [pid for pid in executors() if supervisors(pid)]
    os.kill(running[0], signal.SIGKILL)


def nothing() -> None:
    pass


@pytest.mark.parametrize("sabotage", [nothing, kill_worker, kill_supervisor, kill_executor])
def test_counts_are_exact_under_sabotage(cluster: SparkSession, code: Path, tmp_path: Path, sabotage: Callable[[], None]) -> None:
    fail = sabotage is nothing

    def gate(batches: Iterator[Any]) -> Iterator[Any]:
        """Waits half-way through a partition until a process was killed, or fails there itself."""
        import pathlib
        import time

        for number, batch in enumerate(batches):
            if number == 2:
                mark = pathlib.Path(folder, "waiting")
                mark.touch()
                if fail:
                    if not pathlib.Path(folder, "failed").exists():
                        pathlib.Path(folder, "failed").touch()
                        raise RuntimeError("this task fails once")
                while not pathlib.Path(folder, "go").exists():
                    time.sleep(0.01)
            yield batch

    folder = str(tmp_path)
    source = events(cluster)
    df = transformed(source.mapInArrow(gate, source.schema), code)
    done: List[str] = []

    def damage() -> None:
        try:
            until((tmp_path / "waiting").exists)
            if not fail:
                until(lambda: any(list(descendants(pid)) for pid in supervisors(os.getpid())))
                sabotage()
            done.append(sabotage.__name__)
        finally:
            (tmp_path / "go").touch()

    saboteur = threading.Thread(target=damage)
    saboteur.start()
    rows = df.collect()
    saboteur.join()
    assert done, "nothing was sabotaged"
    check(rows)
    assert (tmp_path / "waiting").exists() and fail == (tmp_path / "failed").exists()
    until(lambda: not supervisors(os.getpid()))


def test_the_page_works_as_it_is_written(cluster: SparkSession, binary: Path, tmp_path: Path) -> None:
    """Runs each recipe of docs/spark.md in a new session, with other data."""
    cluster.stop()
    write("spark.md", tmp_path, "paid.js", "clean.py", "stream.py", "pipe.scala", "replay.sh")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "money.js").write_text(recipes("spark.md")["lib/money.js"])
    lines = ['{"id":%d,"paid":%s,"cents":%d}' % (n, "true" if n % 3 else "false", n) for n in range(1000)]
    lines[5] = "oops"
    lines[7] = '{"id":7,"paid":true,"cents":"ü"}'
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "a.jsonl").write_text("".join(line + "\n" for line in lines))
    paid = [n for n in range(1000) if n % 3 and n not in (5, 7)]
    variables = environment(binary, PYSPARK_PYTHON=sys.executable)
    said = shell("python clean.py", tmp_path, variables)
    assert "|ok     |664  |" in said and "|dropped|334  |" in said and "|failed |2    |" in said, said
    found = sorted(json.loads(line)["id"] for file in (tmp_path / "paid").glob("part-*") for line in file.read_text().splitlines())
    assert found == paid
    assert "2 in = 0 ok + 0 dropped + 2 failed (1 invalid_json, 1 exception)" in shell("bash replay.sh 2>&1 || true", tmp_path, variables)
    shell("python stream.py", tmp_path, variables)
    (tmp_path / "events" / "b.jsonl").write_text('{"id":1000,"paid":true,"cents":5}\n')
    shell("python stream.py", tmp_path, variables)
    shell("python stream.py", tmp_path, variables)
    found = sorted(json.loads(line)["id"] for file in (tmp_path / "stream").glob("part-*") for line in file.read_text().splitlines())
    assert found == [*paid, 1000]
    # Daemons often run with LANG=C.
    said = shell("spark-shell --master 'local-cluster[1,1,1024]' -i pipe.scala < /dev/null", tmp_path, {**variables, "LANG": "C", "LC_ALL": "C"})
    assert "Map(dropped -> 334, failed -> 2, ok -> 665)" in said, said
    assert "ü" in (tmp_path / "piped" / "part-00000").read_text()
