"""Reads the output of ``sluicegate run --emit framed``: a verdict line for each event, followed by its output events, one per line."""

from __future__ import annotations

from typing import Iterator, List, Tuple

OK = b'{"verdict":"ok","count":'
"""The start of the verdict on an event with outputs. Their number and a brace follow."""

Answer = Tuple[bytes, List[bytes]]
"""A verdict line and the output events that follow it, without line ends."""


class Answers:
    """Splits the command's output, which is passed in blocks of any size. Does not parse the events, so numbers keep all their digits."""

    def __init__(self) -> None:
        self._rest: List[bytes] = []
        self._verdict = b""
        self._events: List[bytes] = []
        self._missing = 0

    def feed(self, block: bytes) -> List[Answer]:
        """Returns the answers that this block completes."""
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
        """Yields the lines that end in this block. `split` would take ten times as long, because it checks byte by byte."""
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
