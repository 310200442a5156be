"""One run of the command: a thread feeds it, another thread keeps its error messages, and the caller reads its answers."""

from __future__ import annotations

import subprocess
import threading
from typing import Iterable, Iterator, List, Optional, Tuple, Union

from .errors import LoadError, ProcessDied
from .framing import Answer, Answers

Chunk = Tuple[Union[bytes, memoryview], int]
"""A piece of the input, and the number of lines that end in it."""

MAX_ERROR_TEXT = 64 << 10
# The maximum for unprivileged users. The default size holds only nine large events, so both ends would often wait for each other.
_PIPE_SIZE = 1 << 20
# The number of bytes read at once. So few stay in the processor's caches until they are split into lines.
_BLOCK = 256 << 10

# The command checks the first lines of its input and rejects CSV, UTF-16 and compressed data. That helps users who pass a file. Here, the
# first event may be invalid like any other event. A blank line before it turns the check off. Its verdict is not passed on.
FIRST = b"\n"


def check_end(code: int, sent: int, answered: int, said: bytes) -> None:
    """Raises an error unless the process has succeeded and answered every line.

    Args:
        code: The exit code, or the negative number of a signal.
        sent: The number of lines written to the process.
        answered: The number of lines that it has answered.
        said: Its standard error.
    """
    text = said.decode(errors="replace").strip()
    if code == 2 and answered == 0:
        raise LoadError(text or "the command could not run")
    if code != 0 or answered != sent:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        account = f"sluicegate {how} with {answered} events answered, of at least {sent} that it was sent"
        raise ProcessDied(f"{account}: {text}" if text else account, sent, answered)


class Process:
    """A running process that gets lines and answers them.

    Args:
        arguments: The command and its arguments. It must write framed verdicts.
        chunks: Its input.
        folder: Its working directory. Paths in its messages are relative to this folder.
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
        """The process ID of the supervisor."""
        return self._process.pid

    def _feed(self, chunks: Iterable[Chunk]) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(FIRST)
            for lines, count in chunks:
                # Counted before the write: a line that was written in part may be answered.
                self._sent += count
                rest = memoryview(lines)
                while rest:
                    # A signal may interrupt a write.
                    rest = rest[stdin.write(rest) :]
                if self._closed:
                    break
        except BrokenPipeError:
            # The process has ended. The reader reports the reason.
            pass
        except BaseException as error:  # noqa: B902 - raised again where the verdicts are read
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
        """Yields one answer per input line, in order.

        Raises:
            LoadError: The code does not load, or an option is invalid.
            ProcessDied: The process ended before it had answered every line.
            Exception: An error that the chunks raise, after all lines before it are answered.
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
        """Kills the process if it is still running."""
        self._closed = True
        if self._process.poll() is None:
            # Its workers end with it. After a request to stop, it would first finish events whose verdicts are no longer read.
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                try:
                    pipe.close()
                except (BrokenPipeError, ValueError):
                    pass
