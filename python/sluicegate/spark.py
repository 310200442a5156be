"""Runs a transformation over a Spark DataFrame, batch or streaming.

Each partition has its own process with one worker. A thread feeds it with Arrow batches. Executors write no files: failures are a
column of the result. See ``docs/spark.md``.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from bisect import bisect_right
from itertools import accumulate, chain, islice
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import pyarrow as pa
from pyspark import SparkFiles, TaskContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BinaryType, DataType, StringType, StructField, StructType

from .errors import ProcessDied
from .framing import OK, Answer
from .process import Chunk
from .transformation import PathLike, Transformation, binary
from .verdict import kind_of, letter

__all__ = ["explode", "install", "transform"]

_ANSWER = [
    StructField("verdict", StringType(), False),
    StructField("events", ArrayType(StringType(), False), False),
    StructField("failure", StringType(), True),
]
_NAMES = [field.name for field in _ANSWER]
# The approximate number of bytes of events per Arrow batch of answers. Its offsets have 32 bits, and a small batch stays in the
# processor's caches.
_MAX_BATCH = 2 << 20
# The approximate number of bytes of events that are joined and written at once. So few bytes stay in the processor's caches.
_CHUNK = 256 << 10


@dataclass(frozen=True)
class _Job:
    """The parameters of a task. Spark sends them with every task, so they contain nothing large."""

    archive: str
    """The name of the archive with the code."""
    path: str
    libraries: Union[List[str], Dict[str, str]]
    code: str
    keep: Dict[str, int]
    """The kept columns, with their index in the batches. The events have index 0."""
    options: Dict[str, Any]


def transform(
    df: DataFrame,
    path: PathLike,
    *,
    libraries: Union[Sequence[PathLike], Mapping[str, PathLike], None] = None,
    column: str = "value",
    keep: Optional[Sequence[str]] = None,
    limits: Optional[Mapping[str, str]] = None,
    metadata: Optional[Mapping[str, Any]] = None,
    credentials: Optional[Mapping[str, str]] = None,
    allow_net: Sequence[str] = (),
    options: Sequence[str] = (),
) -> DataFrame:
    """Runs a transformation over every row. Each row of ``df`` gives one row.

    The code is first loaded on the driver, so errors in it are reported before any task runs. Then it is sent to the executors as an
    archive. The executors need this package, see :func:`install`.

    Args:
        df: A DataFrame, batch or streaming.
        path: The JavaScript or TypeScript file.
        libraries: Folders of libraries, or a mapping from library names to files.
        column: The column with the events as JSON, of type string or binary. A null is an event that fails.
        keep: The other columns to keep, by default all of them.
        limits, metadata, credentials, allow_net, options: As for :class:`sluicegate.Transformation`.

    Returns:
        The kept columns and ``verdict`` (``ok``, ``dropped`` or ``failed``), ``events`` (an array of JSON strings, empty unless ``ok``) and
        ``failure`` (a dead letter for ``sluicegate replay``, null unless ``failed``).

    Raises:
        LoadError: The code does not load.
        ValueError: A column is missing, has the wrong type, or has the name of an added column. Or this function sets an option itself.
    """
    kept = [name for name in df.columns if name != column] if keep is None else list(keep)
    schema = _schema(df, column, kept)
    with tempfile.TemporaryDirectory(prefix="sluicegate-") as folder:
        code, shipped = _gather(Path(folder), path, libraries)
        with Transformation(code, libraries=shipped, folder=folder, options=options) as transformation:
            digest = transformation.check()
        archive = _ship(df.sparkSession, Path(folder))
    given: Dict[str, Any] = {
        "limits": dict(limits or {}),
        "metadata": metadata,
        "credentials": credentials,
        "allow_net": list(allow_net),
        "options": list(options),
    }
    needed = list(dict.fromkeys([column, *kept]))
    job = _Job(archive, code, shipped, digest, {name: needed.index(name) for name in kept}, given)

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return _task(job, batches)

    # Rename the columns: PySpark interprets a dot in a name as access to a struct field.
    rows = df.select(*(_named(name).alias(f"c{number}") for number, name in enumerate(needed)))
    return rows.mapInArrow(task, schema)


def explode(transformed: DataFrame, *, schema: Union[StructType, str, None] = None, column: str = "event") -> DataFrame:
    """Returns one row per output event, with the kept columns. Dropped and failed rows give no row.

    Args:
        transformed: The result of :func:`transform`.
        schema: The schema of structs that the events become. By default they stay JSON strings.
        column: The name of the events' column.
    """
    kept = [_named(name) for name in transformed.columns if name not in _NAMES]
    event = F.explode("events").alias(column)
    rows = transformed.select(*kept, event)
    return rows if schema is None else rows.withColumn(column, F.from_json(_named(column), schema))


def install(spark: SparkSession) -> None:
    """Sends this package and its command to the executors of a session, for clusters where you cannot install them.

    Each executor downloads the command once, about 70 MB. Executors must run x86-64 Linux with Python and pyarrow.
    """
    context = spark.sparkContext
    folder = _folder("sluicegate-package")
    package = folder / "sluicegate_package.zip"
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as file:
        for source in sorted(Path(__file__).parent.glob("*.py")):
            file.write(source, f"sluicegate/{source.name}")
    context.addPyFile(str(package))
    command = folder / "sluicegate"
    shutil.copy2(binary(), command)
    context.addFile(str(command))


def _folder(name: str) -> Path:
    """Creates a folder for files to send. Executors fetch them when they need them, so the folder exists as long as the session."""
    folder = Path(SparkFiles.getRootDirectory()) / "shipped" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _named(name: str) -> Any:
    """Returns the column of exactly this name. A dot in the name has no special meaning."""
    return F.col(f"`{name}`")


def _schema(df: DataFrame, column: str, kept: List[str]) -> StructType:
    """Checks the columns and returns the schema of the result."""
    fields = {field.name: field for field in df.schema.fields}
    for name in [column, *kept]:
        if name not in fields:
            raise ValueError(f"there is no column {name!r}; there are {', '.join(map(repr, fields))}")
    for name in kept:
        if name in _NAMES:
            raise ValueError(f"the column {name!r} has the name of one that is added; rename it, or keep=[…] without it")
    kind: DataType = fields[column].dataType
    if not isinstance(kind, (StringType, BinaryType)):
        raise ValueError(
            f"the column {column!r} is {kind.simpleString()}, not string or binary; make JSON of it first: "
            f'df.withColumn({column!r}, to_json({column!r}, {{"ignoreNullFields": "false"}}))'
        )
    return StructType([*(fields[name] for name in kept), *_ANSWER])


def _gather(
    folder: Path, path: PathLike, libraries: Union[Sequence[PathLike], Mapping[str, PathLike], None]
) -> Tuple[str, Union[List[str], Dict[str, str]]]:
    """Copies the code into a folder. Returns its paths there."""
    source = Path(path)
    shutil.copyfile(source, folder / source.name)
    if isinstance(libraries, Mapping):
        named: Dict[str, str] = {}
        for number, (handle, file) in enumerate(libraries.items()):
            named[handle] = f"libraries/{number}/{Path(file).name}"
            (folder / named[handle]).parent.mkdir(parents=True)
            shutil.copyfile(file, folder / named[handle])
        return source.name, named
    folders = [f"libraries/{number}/{Path(library).resolve().name}" for number, library in enumerate(libraries or ())]
    for target, library in zip(folders, libraries or ()):
        shutil.copytree(library, folder / target)
    return source.name, folders


def _ship(spark: SparkSession, folder: Path) -> str:
    """Sends a folder to the executors as an archive. Returns the archive's name, which is derived from its content."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.writestr(zipfile.ZipInfo(str(path.relative_to(folder))), path.read_bytes(), zipfile.ZIP_DEFLATED)
    name = "sluicegate-" + hashlib.sha256(content.getvalue()).hexdigest()[:16]
    context = spark.sparkContext
    if not any(archive.endswith(f"#{name}") for archive in context.listArchives):
        kept = _folder(name) / f"{name}.zip"
        kept.write_bytes(content.getvalue())
        context.addArchive(f"{kept}#{name}")
    return name


def _command() -> None:
    """Uses the command that :func:`install` has sent, unless ``SLUICEGATE_BIN`` names another one."""
    shipped = Path(SparkFiles.get("sluicegate"))
    if "SLUICEGATE_BIN" not in os.environ and shipped.is_file():
        os.environ["SLUICEGATE_BIN"] = str(shipped)


def _task(job: _Job, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Transforms one partition, on an executor."""
    _command()
    context = TaskContext.get()
    origin = f"partition {context.partitionId()}" if context is not None else "partition"
    pending: SimpleQueue[Tuple[pa.RecordBatch, _Lines]] = SimpleQueue()

    def chunks() -> Iterator[Chunk]:
        for batch in batches:
            if batch.num_rows:
                lines = _Lines(batch.column(0))
                pending.put((batch, lines))
                yield from lines.chunks()

    with Transformation(job.path, libraries=job.libraries, workers=1, folder=SparkFiles.get(job.archive), **job.options) as transformation:
        found = transformation.start(chunks()).answers()
        first = 1
        offset = 0
        for answer in found:
            try:
                # Every batch was queued before its events were sent.
                batch, lines = pending.get_nowait()
            except Empty:
                raise ProcessDied("sluicegate answered more events than it was sent", first - 1, first) from None
            yield from _Answers(job, origin, batch, lines, first, offset).read(answer, found)
            first += batch.num_rows
            offset += lines.offset(batch.num_rows)


class _Lines:
    """A column of events as lines of JSON. A null becomes ``null``, which is not an event and fails."""

    def __init__(self, column: pa.Array) -> None:
        values = column.cast(pa.large_binary())
        if values.null_count:
            values = values.fill_null(b"null")
        _, offsets, data = values.buffers()
        self._rows = len(values)
        self._at = memoryview(offsets).cast("q")[values.offset : values.offset + self._rows + 1]
        self._data = memoryview(data or b"")

    def chunks(self) -> Iterator[Chunk]:
        """Yields all lines in chunks."""
        start = 0
        while start < self._rows:
            # At least one line, of any size.
            until = max(bisect_right(self._at, self._at[start] + _CHUNK) - 1, start + 1)
            yield self._joined(start, until), until - start
            start = until

    def _joined(self, start: int, until: int) -> bytes:
        at = self._at[start : until + 1]
        events: List[Any] = [self._data[begin:end] for begin, end in zip(at, at[1:])]
        if b"\n" in self._data[at[0] : at[-1]].tobytes():
            # Between values, both characters are white space. Within a string, both are invalid.
            events = [event.tobytes().replace(b"\n", b"\r") for event in events]
        events.append(b"")
        return b"\n".join(events)

    def line(self, row: int) -> bytes:
        """Returns a line without its line end."""
        return self._joined(row, row + 1)[:-1]

    def offset(self, row: int) -> int:
        """Returns the offset of a row's line."""
        return self._at[row] - self._at[0] + row


class _Answers:
    """The verdicts on one batch."""

    def __init__(self, job: _Job, origin: str, batch: pa.RecordBatch, lines: _Lines, first: int, offset: int) -> None:
        self._job = job
        self._origin = origin
        self._batch = batch
        self._lines = lines
        self._first = first
        self._offset = offset
        self._clear(0)

    def _clear(self, row: int) -> None:
        self._from = row
        self._verdicts: List[str] = []
        self._flat: List[bytes] = []
        self._ends: List[int] = [0]
        self._failures: List[Optional[str]] = []

    def read(self, answer: Answer, rest: Iterator[Answer]) -> Iterator[pa.RecordBatch]:
        """Reads the answers for all rows. ``answer`` is the first one."""
        size = 0
        for row, (line, events) in enumerate(chain([answer], islice(rest, self._batch.num_rows - 1))):
            if size > _MAX_BATCH:
                yield self._made(row)
                self._clear(row)
                size = 0
            if line.startswith(OK):
                self._verdicts.append("ok")
                self._failures.append(None)
                self._flat += events
                size += sum(map(len, events))
            else:
                size += len(line)
                self._take(line, row)
            self._ends.append(len(self._flat))
        yield self._made(self._batch.num_rows)

    def _take(self, line: bytes, row: int) -> None:
        """Adds the verdict on a row without output events."""
        found: Dict[str, Any] = json.loads(line)
        kind = kind_of(found)
        del found["verdict"]
        found.pop("metadata", None)
        self._verdicts.append(kind)
        self._failures.append(self._letter(found, row) if kind == "failed" else None)

    def _letter(self, failure: Dict[str, Any], row: int) -> str:
        event, offset = self._lines.line(row), self._offset + self._lines.offset(row)
        return letter(failure, event, self._job.path, self._job.code, file=self._origin, line=self._first + row, offset=offset)

    def _made(self, until: int) -> pa.RecordBatch:
        rows = self._batch.slice(self._from, until - self._from)
        offsets = pa.array(accumulate(map(len, self._flat), initial=0), pa.int32())
        text = pa.py_buffer(b"".join(self._flat))
        events = pa.StringArray.from_buffers(len(self._flat), offsets.buffers()[1], text)
        # In the schema, neither the list nor its items are nullable.
        listed = pa.ListArray.from_arrays(pa.array(self._ends, pa.int32()), events)
        answer = [pa.array(self._verdicts, pa.string()), listed, pa.array(self._failures, pa.string())]
        columns = [*(rows.column(place) for place in self._job.keep.values()), *answer]
        return pa.RecordBatch.from_arrays(columns, names=[*self._job.keep, *_NAMES])
