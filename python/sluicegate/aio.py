"""The same run for asyncio: a task feeds the process, and the caller reads its answers."""

from __future__ import annotations

import asyncio
from typing import Any, AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, List, Optional, Union

from .encoding import to_line
from .process import FIRST, MAX_ERROR_TEXT, check_end

_READ = 1 << 20


async def verdicts(
    arguments: List[str], events: Union[AsyncIterable[Any], Iterable[Any]], folder: Optional[str] = None
) -> AsyncGenerator[bytes, None]:
    """The verdict lines on events, one for each, in order. Its errors are those of :meth:`sluicegate.process.Process.verdicts`."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*arguments, stdin=pipe, stdout=pipe, stderr=pipe, cwd=folder)
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    feed = asyncio.create_task(_feed(process.stdin, events))
    listen = asyncio.create_task(_listen(process.stderr))
    answered = -1
    try:
        async for line in _lines(process.stdout):
            if answered >= 0:
                yield line
            answered += 1
        code = await process.wait()
        said = await listen
        if code != 0:
            feed.cancel()
        (fed,) = await asyncio.gather(feed, return_exceptions=True)
        sent, error = fed if isinstance(fed, tuple) else (max(answered, 0), None)
        check_end(code, sent, max(answered, 0), said)
        if error is not None:
            raise error
    finally:
        for task in (feed, listen):
            task.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()
        await asyncio.gather(feed, listen, return_exceptions=True)


async def _feed(stdin: asyncio.StreamWriter, events: Union[AsyncIterable[Any], Iterable[Any]]) -> "tuple[int, Optional[Exception]]":
    """Writes all events; the answer is how many, and what went wrong where they come from."""
    sent = 0
    try:
        stdin.write(FIRST)
        async for event in _each(events):
            line = to_line(event)
            sent += 1
            stdin.write(line)
            await stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        # The process is gone; its exit code says why.
        pass
    except Exception as error:  # noqa: B902 - it is raised again where the verdicts are read
        return sent, error
    finally:
        stdin.close()
    return sent, None


async def _each(events: Union[AsyncIterable[Any], Iterable[Any]]) -> AsyncIterator[Any]:
    if isinstance(events, AsyncIterable):
        async for event in events:
            yield event
    else:
        for event in events:
            yield event


async def _listen(stderr: asyncio.StreamReader) -> bytes:
    said = b""
    while piece := await stderr.read(4096):
        said = (said + piece)[-MAX_ERROR_TEXT:]
    return said


async def _lines(stdout: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Whole lines of any length; asyncio's own reader has a limit."""
    rest: List[bytes] = []
    while piece := await stdout.read(_READ):
        *whole, last = piece.split(b"\n")
        for line in whole:
            yield b"".join([*rest, line, b"\n"])
            rest = []
        rest.append(last)
