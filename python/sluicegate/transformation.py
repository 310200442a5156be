"""A transformation, run by the command ``sluicegate``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, Generator, Iterable, Iterator, List, Mapping, Optional, Sequence, Type, Union

from .encoding import rows, to_line
from .errors import LoadError, ProcessDied, SluicegateError, TransformationFailed
from .verdict import Verdict, parse

PathLike = Union[str, "os.PathLike[str]"]

_MAX_ERROR_TEXT = 64 << 10


def binary() -> str:
    """The path of the command: ``SLUICEGATE_BIN``, the one that was installed with this package, or the one on the path.

    Raises:
        SluicegateError: There is none.
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


class Transformation:
    """A transformation that can be called with any iterable of events.

    Args:
        path: The JavaScript or TypeScript file.
        libraries: Folders of libraries, or a mapping of handles to files.
        limits: ``cpu``, ``wall``, ``heap``, ``output``, ``line`` and ``log``, as the command takes them:
            ``{"cpu": "200ms", "heap": "64MiB"}``.
        workers: How many worker processes, 0 for one per core.
        metadata: What ``metadata(event)`` answers for every event.
        credentials: What ``getCredential(key)`` answers.
        allow_net: The hosts that the code may ask.
        on_failure: ``"yield"`` gives failed events as verdicts; ``"raise"`` ends at the first one with
            :class:`TransformationFailed`.
        options: Further arguments of ``sluicegate run``.

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
    ) -> None:
        if on_failure not in ("yield", "raise"):
            raise ValueError(f'on_failure is "yield" or "raise", not {on_failure!r}')
        self._raise = on_failure == "raise"
        self._folder: Optional[tempfile.TemporaryDirectory[str]] = None
        self._runs: List[_Run] = []
        arguments = [binary(), "run", os.fspath(path), "--emit", "verdicts", "--quiet", "--fail-on", "never", "-j", str(workers)]
        for name, value in (limits or {}).items():
            arguments += [f"--{name}-limit", value]
        if isinstance(libraries, Mapping):
            arguments += [part for handle, file in libraries.items() for part in ("--library", f"{handle}={os.fspath(file)}")]
        else:
            arguments += [part for folder in libraries or () for part in ("-L", os.fspath(folder))]
        for flag, data in (("--metadata", metadata), ("--credentials", credentials)):
            if data is not None:
                arguments += [flag, self._file(f"{flag[2:]}.json", json.dumps(dict(data)))]
        if allow_net:
            arguments += ["--allow-net", ",".join(allow_net)]
        self._arguments = [*arguments, *options]

    @classmethod
    def from_source(cls, code: str, **options: Any) -> "Transformation":
        """A transformation from its text."""
        folder = tempfile.TemporaryDirectory(prefix="sluicegate-")
        path = Path(folder.name) / "transform.js"
        path.write_text(code, encoding="utf-8")
        made = cls(path, **options)
        if made._folder is not None:
            made._folder.cleanup()
            folder.cleanup()
            raise ValueError("metadata and credentials need a transformation in a file")
        made._folder = folder
        return made

    def _file(self, name: str, text: str) -> str:
        """A file that only this user can read."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="sluicegate-")
        path = Path(self._folder.name) / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        return str(path)

    def __enter__(self) -> "Transformation":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def close(self) -> None:
        """Ends what is still under way."""
        for run in self._runs:
            run.close()
        self._runs.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __call__(self, events: Iterable[Any]) -> Generator[Verdict, None, None]:
        """Runs the transformation over events; one verdict comes for each, in order, as soon as it is there.

        An event is a ``dict``, JSON as ``bytes`` or ``str``, or an Arrow table or batch, which gives an event for each row. A
        generator that is closed early ends the process.

        Raises:
            LoadError: The code does not load.
            ProcessDied: The process ended before every event was answered.
            TransformationFailed: An event failed, with ``on_failure="raise"``.
            Exception: Whatever ``events`` raises, once all events before it have their verdict.
        """
        run = _Run(self._arguments, events)
        self._runs.append(run)
        try:
            for verdict in run.verdicts():
                if self._raise and verdict.failure is not None:
                    failure = verdict.failure
                    raise TransformationFailed(f"event {verdict.index}: {failure.kind}: {failure.message}", verdict.index, failure)
                yield verdict
        finally:
            run.close()
            if run in self._runs:
                self._runs.remove(run)


class _Run:
    """One process, the thread that feeds it, and the thread that reads what it says."""

    def __init__(self, arguments: List[str], events: Iterable[Any]) -> None:
        self._sent = 0
        self._error: Optional[BaseException] = None
        self._said = b""
        self._closed = False
        self._process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._threads = [
            threading.Thread(target=self._feed, args=(events,), daemon=True),
            threading.Thread(target=self._listen, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _feed(self, events: Iterable[Any]) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            for event in rows(events):
                stdin.write(to_line(event))
                # Not kept back: the caller may wait for this verdict before it gives the next event.
                stdin.flush()
                self._sent += 1
                if self._closed:
                    break
        except BrokenPipeError:
            # The process is gone; the reader says why.
            self._sent += 1
        except BaseException as error:  # noqa: B902 - it is raised again where the verdicts are read
            self._error = error
        finally:
            try:
                stdin.close()
            except (BrokenPipeError, ValueError):
                pass

    def _listen(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        while piece := stderr.read(4096):
            self._said = (self._said + piece)[-_MAX_ERROR_TEXT:]

    def verdicts(self) -> Iterator[Verdict]:
        stdout = self._process.stdout
        assert stdout is not None
        answered = 0
        for line in stdout:
            if not line.endswith(b"\n"):
                break
            yield parse(line, answered)
            answered += 1
        code = self._process.wait()
        if self._closed:
            return
        self._threads[1].join()
        if code == 0:
            self._threads[0].join()
        said = self._said.decode(errors="replace").strip()
        if code == 2 and answered == 0:
            raise LoadError(said or "the command could not run")
        if code != 0 or answered != self._sent:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            text = f"sluicegate {how} with {answered} events answered, of at least {self._sent} that it was sent"
            raise ProcessDied(f"{text}: {said}" if said else text, self._sent, answered)
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Ends the process at once, unless it has ended."""
        self._closed = True
        if self._process.poll() is None:
            # Its workers end with it. A request to end would let it finish events that are not read any more.
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                try:
                    pipe.close()
                except (BrokenPipeError, ValueError):
                    pass


def version() -> Dict[str, str]:
    """The version of the command."""
    text = subprocess.run([binary(), "--version"], check=True, capture_output=True, text=True).stdout
    return {"sluicegate": text.split()[1]}
