"""A run for asyncio: a task feeds the process, and the caller reads its answers."""

from __future__ import annotations

import asyncio
from typing import Any, AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, List, Optional, Union

from .encoding import to_line
from .framing import Answer, Answers
from .process import FIRST, MAX_ERROR_TEXT, check_end

_READ = 1 << 20


async def answers(
    arguments: List[str], events: Union[AsyncIterable[Any], Iterable[Any]], folder: Optional[str] = None
) -> AsyncGenerator[Answer, None]:
    """Yields one answer per event, in order. Raises the same errors as :meth:`sluicegate.process.Process.answers`."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*arguments, stdin=pipe, stdout=pipe, stderr=pipe, cwd=folder)
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    feed = asyncio.create_task(_feed(process.stdin, events))
    listen = asyncio.create_task(_listen(process.stderr))
    answered = -1
    try:
        blocks = Answers()
        while block := await process.stdout.read(_READ):
            for answer in blocks.feed(block):
                if answered >= 0:
                    yield answer
                answered += 1
        code = await process.wait()
        said = await listen
        if code != 0:
            feed.cancel()
        (fed,) = await asyncio.gather(feed, return_exceptions=True)
        error: Optional[BaseException]
        # The feed was cancelled, either above or by the source of the events. In both cases the number of sent events is unknown.
        sent, error = fed if isinstance(fed, tuple) else (max(answered, 0), fed)
        check_end(code, sent, max(answered, 0), said)
        if error is not None:
            raise error
    finally:
        feed.cancel()
        if process.returncode is None:
            process.kill()
        # asyncio considers a process running until its pipes have been read to the end.
        while await process.stdout.read(_READ):
            pass
        await process.wait()
        await asyncio.gather(feed, listen, return_exceptions=True)


async def _feed(stdin: asyncio.StreamWriter, events: Union[AsyncIterable[Any], Iterable[Any]]) -> "tuple[int, Optional[Exception]]":
    """Writes all events. Returns their number, and the error of their source, if any."""
    sent = 0
    try:
        stdin.write(FIRST)
        async for event in _each(events):
            line = to_line(event)
            sent += 1
            stdin.write(line)
            await stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        # The process has ended. Its exit code gives the reason.
        pass
    except Exception as error:  # noqa: B902 - raised again where the verdicts are read
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
