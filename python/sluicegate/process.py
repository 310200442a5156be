"""One run of the command: a thread feeds it, another keeps what it says, and the caller reads its answers."""

from __future__ import annotations

import subprocess
import threading
from typing import Iterable, Iterator, List, Optional, Tuple, Union

from .errors import LoadError, ProcessDied
from .framing import Answer, Answers

Chunk = Tuple[Union[bytes, memoryview], int]
"""A piece of the input, and how many lines end in it."""

MAX_ERROR_TEXT = 64 << 10
# What any user may have. Of large events the default holds nine, and each end waits for the other.
_PIPE_SIZE = 1 << 20
# How much is read at once. It stays in the processor's caches until it is taken apart.
_BLOCK = 256 << 10

# The command looks at the first lines of its input and refuses what is CSV, UTF-16 or compressed. That helps people with a file; here the
# first event may be a bad one like any other. A blank line in front, whose verdict is not passed on, keeps it from looking.
FIRST = b"\n"


def check_end(code: int, sent: int, answered: int, said: bytes) -> None:
    """Raises unless a process has ended well and answered everything.

    Args:
        code: Its exit code, a signal's number with a minus.
        sent: How many lines it was sent.
        answered: How many it answered.
        said: What it wrote to standard error.
    """
    text = said.decode(errors="replace").strip()
    if code == 2 and answered == 0:
        raise LoadError(text or "the command could not run")
    if code != 0 or answered != sent:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        account = f"sluicegate {how} with {answered} events answered, of at least {sent} that it was sent"
        raise ProcessDied(f"{account}: {text}" if text else account, sent, answered)


class Process:
    """A process that is being fed.

    Args:
        arguments: The command and its arguments; it has to write framed verdicts.
        chunks: What it is fed with.
        folder: Where it runs. Paths in its messages are relative to it.
    """

    def __init__(self, arguments: List[str], chunks: Iterable[Chunk], folder: Optional[str] = None) -> None:
        self._sent = 0
        self._error: Optional[BaseException] = None
        self._said = b""
        self._closed = False
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            arguments, stdin=pipe, stdout=pipe, stderr=pipe, cwd=folder, bufsize=0, pipesize=_PIPE_SIZE
        )
        self._threads = [
            threading.Thread(target=self._feed, args=(chunks,), daemon=True),
            threading.Thread(target=self._listen, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return self._process.pid

    def _feed(self, chunks: Iterable[Chunk]) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(FIRST)
            for lines, count in chunks:
                # Counted first: a line that was written in part may be answered.
                self._sent += count
                rest = memoryview(lines)
                while rest:
                    # A signal may end a write half-way.
                    rest = rest[stdin.write(rest) :]
                if self._closed:
                    break
        except BrokenPipeError:
            # The process is gone; the reader says why.
            pass
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
            self._said = (self._said + piece)[-MAX_ERROR_TEXT:]

    def answers(self) -> Iterator[Answer]:
        """The answers, one for each line that was fed, in order.

        Raises:
            LoadError: The code does not load, or an option is wrong.
            ProcessDied: The process ended before every line was answered.
            Exception: Whatever the chunks raise, once all lines before it are answered.
        """
        stdout = self._process.stdout
        assert stdout is not None
        answers = Answers()
        answered = -1
        while block := stdout.read(_BLOCK):
            for answer in answers.feed(block):
                if answered >= 0:
                    yield answer
                answered += 1
        answered = max(answered, 0)
        code = self._process.wait()
        if self._closed:
            return
        self._threads[1].join()
        if code == 0:
            self._threads[0].join()
        check_end(code, self._sent, answered, self._said)
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
