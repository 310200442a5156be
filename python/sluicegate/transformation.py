"""Runs a transformation with the command ``sluicegate``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, AsyncGenerator, AsyncIterable, Dict, Generator, Iterable, List, Mapping, Optional, Sequence, Type, Union

from .aio import answers
from .encoding import chunks, to_line
from .errors import LoadError, SluicegateError, TransformationFailed
from .process import Chunk, Process
from .verdict import Verdict, letter, parse

PathLike = Union[str, "os.PathLike[str]"]


def binary() -> str:
    """Returns the path of the command: ``SLUICEGATE_BIN``, the command installed with this package, or the one on ``PATH``.

    Raises:
        SluicegateError: The command is not installed.
    """
    named = os.environ.get("SLUICEGATE_BIN")
    if named:
        return named
    for folder in (sysconfig.get_path("scripts"), str(Path(sys.executable).parent), sysconfig.get_path("scripts", f"{os.name}_user")):
        candidate = Path(folder) / "sluicegate"
        if candidate.is_file():
            return str(candidate)
    found = shutil.which("sluicegate")
    if found is None:
        raise SluicegateError("the command sluicegate is not installed: pip install sluicegate, or set SLUICEGATE_BIN")
    return found


# Verdicts are paired with events by their number, which depends on these flags. Flags override a file and variables.
_PINNED = {
    "--emit": "framed",
    "--input-format": "lines",
    "--chunk-header": "false",
    "--unordered": "false",
    "--output": "-",
}


def _refuse(options: Sequence[str]) -> None:
    """Raises an error if an option is pinned or is ``--``, which ends the options."""
    for option in options:
        name = "--output" if option.startswith("-o") else option.partition("=")[0]
        if name in _PINNED:
            raise ValueError(f"options=[{option!r}] would shift verdicts to other events; this API sets {name} itself")
        if option == "--":
            raise ValueError("options=['--'] ends the flags; events are what the transformation is called with")


class Transformation:
    """A transformation that can be called with any iterable of events.

    Args:
        path: The JavaScript or TypeScript file.
        libraries: Folders of libraries, or a mapping from library names to files.
        limits: ``cpu``, ``wall``, ``heap``, ``output``, ``line`` and ``log``, in the format of the command's flags:
            ``{"cpu": "200ms", "heap": "64MiB"}``.
        workers: The number of worker processes, or 0 for one per core.
        metadata: The result of ``metadata(event)`` for every event.
        credentials: The values that ``getCredential(key)`` returns, by key.
        allow_net: The hosts that the code may send requests to.
        on_failure: With ``"yield"``, a failed event gives a verdict. With ``"raise"``, the run ends at the first failed
            event and raises :class:`TransformationFailed`.
        options: Further flags of ``sluicegate run``. This class sets the flags that pair verdicts with events (``--emit``,
            ``--input-format``, ``--chunk-header``, ``--unordered`` and ``--output``), whatever a file or the environment says.
        folder: The command's working directory, by default the current folder. ``path`` and ``libraries`` are relative to it.

    Example:
        >>> code = "export function transformEvent(event) { return event.paid ? event : null; }"
        >>> with Transformation.from_source(code) as transformation:
        ...     [verdict.verdict for verdict in transformation([{"paid": True}, {"paid": False}])]
        ['ok', 'dropped']
    """

    def __init__(
        self,
        path: PathLike,
        *,
        libraries: Union[Sequence[PathLike], Mapping[str, PathLike], None] = None,
        limits: Optional[Mapping[str, str]] = None,
        workers: int = 0,
        metadata: Optional[Mapping[str, Any]] = None,
        credentials: Optional[Mapping[str, str]] = None,
        allow_net: Sequence[str] = (),
        on_failure: str = "yield",
        options: Sequence[str] = (),
        folder: Optional[PathLike] = None,
    ) -> None:
        if on_failure not in ("yield", "raise"):
            raise ValueError(f'on_failure is "yield" or "raise", not {on_failure!r}')
        _refuse(options)
        self._raise = on_failure == "raise"
        self._folders: List[tempfile.TemporaryDirectory[str]] = []
        self._runs: List[Process] = []
        self._path = os.fspath(path)
        self._cwd = None if folder is None else os.fspath(folder)
        self._hash: Optional[str] = None
        if isinstance(libraries, Mapping):
            self._libraries = [part for handle, file in libraries.items() for part in ("--library", f"{handle}={os.fspath(file)}")]
        else:
            self._libraries = [part for library in libraries or () for part in ("-L", os.fspath(library))]
        pinned = [f"{flag}={value}" for flag, value in _PINNED.items()]
        arguments = [binary(), "run", self._path, "-", *pinned, "--quiet", "--fail-on", "never", "-j", str(workers), *self._libraries]
        for name, value in (limits or {}).items():
            arguments += [f"--{name}-limit", value]
        for flag, data in (("--metadata", metadata), ("--credentials", credentials)):
            if data is not None:
                arguments += [flag, self._file(f"{flag[2:]}.json", json.dumps(dict(data)))]
        if allow_net:
            arguments += ["--allow-net", ",".join(allow_net)]
        self._arguments = [*arguments, *options]

    @classmethod
    def from_source(cls, code: str, **options: Any) -> "Transformation":
        """Creates a transformation from its source text."""
        folder = tempfile.TemporaryDirectory(prefix="sluicegate-")
        path = Path(folder.name) / "transform.js"
        path.write_text(code, encoding="utf-8")
        try:
            made = cls(path, **options)
        except BaseException:
            folder.cleanup()
            raise
        made._folders.append(folder)
        return made

    def _file(self, name: str, text: str) -> str:
        """Writes a file that only this user can read."""
        folder = tempfile.TemporaryDirectory(prefix="sluicegate-")
        self._folders.append(folder)
        path = Path(folder.name) / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        return str(path)

    def __enter__(self) -> "Transformation":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def close(self) -> None:
        """Kills the processes that are still running, and deletes temporary files."""
        for run in self._runs:
            run.close()
        self._runs.clear()
        for folder in self._folders:
            folder.cleanup()
        self._folders.clear()

    def start(self, lines: Iterable[Chunk]) -> Process:
        """Starts a process for chunks of JSON lines, each with the number of lines that end in it. For callers that already have lines."""
        run = Process(self._arguments, lines, self._cwd)
        self._runs.append(run)
        return run

    def check(self) -> str:
        """Loads the code without running it. Returns its hash, which dead letters contain.

        Raises:
            LoadError: The code does not load.
        """
        if self._hash is None:
            command = [binary(), "check", self._path, *self._libraries]

            def run(*more: str) -> "subprocess.CompletedProcess[str]":
                return subprocess.run([*command, *more], capture_output=True, text=True, cwd=self._cwd, stdin=subprocess.DEVNULL)

            done = run("--json")
            if done.returncode != 0:
                # Run again for a message in plain text.
                done = run()
                raise LoadError((done.stderr or done.stdout).strip())
            self._hash = str(json.loads(done.stdout)["codeHash"])
        return self._hash

    def dead_letter(self, verdict: Verdict, event: Any, **origin: Any) -> str:
        """Returns a failed event as a dead letter, which ``sluicegate replay`` runs again: the reason, the origin and the event.

        Args:
            verdict: The verdict, which must be a failure.
            event: The event as it was passed to the run.
            origin: ``file``, ``line`` and ``offset`` of the event. By default, ``line`` is the event's number in this run.
        """
        if verdict.failure is None:
            raise ValueError(f"event {verdict.index} did not fail: it was {verdict.verdict}")
        origin.setdefault("line", verdict.index + 1)
        return letter(verdict.failure.as_dict(), to_line(event)[:-1], self._path, self.check(), **origin)

    async def stream(self, events: Union[AsyncIterable[Any], Iterable[Any]]) -> AsyncGenerator[Verdict, None]:
        """Runs the transformation over events, as a call does, but for asyncio. It does not block the event loop.

        To leave it early, use ``contextlib.aclosing``, as for any asynchronous generator.
        """
        async with aclosing(answers(self._arguments, events, self._cwd)) as found:
            index = 0
            async for line, lines in found:
                yield self._verdict(line, lines, index)
                index += 1

    def _verdict(self, line: bytes, lines: List[bytes], index: int) -> Verdict:
        verdict = parse(line, lines, index)
        if self._raise and verdict.failure is not None:
            failure = verdict.failure
            raise TransformationFailed(f"event {index}: {failure.kind}: {failure.message}", index, failure)
        return verdict

    def __call__(self, events: Iterable[Any]) -> Generator[Verdict, None, None]:
        """Runs the transformation over events. Yields one verdict per event, in order, as soon as it is known.

        An event is a ``dict``, or JSON as ``bytes`` or ``str``. An Arrow table or batch has one event per row. Closing the
        generator early kills the process.

        Raises:
            LoadError: The code does not load.
            ProcessDied: The process ended before it had answered every event.
            TransformationFailed: An event failed, and ``on_failure`` is ``"raise"``.
            Exception: An error that ``events`` raises, after all events before it have their verdict.
        """
        run = self.start(chunks(events))
        try:
            for index, (line, lines) in enumerate(run.answers()):
                yield self._verdict(line, lines, index)
        finally:
            run.close()
            if run in self._runs:
                self._runs.remove(run)


def version() -> Dict[str, str]:
    """Returns the version of the command."""
    text = subprocess.run([binary(), "--version"], check=True, capture_output=True, text=True).stdout
    return {"sluicegate": text.split()[1]}
