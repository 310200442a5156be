"""The answers of ``sluicegate run --emit framed``: a verdict line for each event, and behind it the events that go out, a line each."""

from __future__ import annotations

from typing import Iterator, List, Tuple

OK = b'{"verdict":"ok","count":'
"""How the verdict on an event that goes out begins. A number and a brace end it."""

Answer = Tuple[bytes, List[bytes]]
"""A verdict line and the events behind it, without line ends."""


class Answers:
    """Takes apart what the command writes, in blocks of any size. Nothing is parsed: events keep all digits of their numbers."""

    def __init__(self) -> None:
        self._rest: List[bytes] = []
        self._verdict = b""
        self._events: List[bytes] = []
        self._missing = 0

    def feed(self, block: bytes) -> List[Answer]:
        """The answers that are complete with this block."""
        found: List[Answer] = []
        verdict, events, missing = self._verdict, self._events, self._missing
        for line in self._lines(block):
            if missing:
                events.append(line)
                missing -= 1
            else:
                verdict, events = line, []
                if line.startswith(OK):
                    missing = int(line[len(OK) : -1])
            if not missing:
                found.append((verdict, events))
        self._verdict, self._events, self._missing = verdict, events, missing
        return found

    def _lines(self, block: bytes) -> Iterator[bytes]:
        """The lines that end in this block. `split` would take ten times as long: it looks at each byte by itself."""
        start = 0
        while (end := block.find(b"\n", start)) >= 0:
            line = block[start:end]
            if self._rest:
                line = b"".join([*self._rest, line])
                self._rest = []
            yield line
            start = end + 1
        if start < len(block):
            self._rest.append(block[start:])
