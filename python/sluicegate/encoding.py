"""Writes events as JSON lines, without loss: decimals keep their digits, dates and UUIDs become text, numpy's scalars become numbers."""

from __future__ import annotations

import datetime
import decimal
import json
import math
import re
import secrets
import uuid
from typing import Any, Iterable, Iterator, List, Tuple

_MARK = secrets.token_hex(8)
_NUMBER = re.compile(f'"{_MARK}([^"]*)"')


def _plain(value: Any) -> Any:
    """Converts a value of a type that the json module does not support."""
    if isinstance(value, decimal.Decimal):
        if not value.is_finite():
            raise ValueError(f"{value} is no number that JSON can hold; use None")
        # A marked text, which becomes a number below. The json module would round the number.
        return _MARK + str(value)
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    for method in ("tolist", "as_py", "item"):
        convert = getattr(value, method, None)
        if callable(convert) and type(value).__module__.split(".")[0] in ("numpy", "pandas", "pyarrow"):
            return convert()
    raise TypeError(f"an event cannot hold a {type(value).__name__}: {value!r:.100}; turn it into a str, a number, a dict or a list")


def _find_nan(value: Any, path: str) -> str:
    """Returns the path of the first NaN or infinity, or an empty string."""
    if isinstance(value, float) and not math.isfinite(value):
        return path
    if isinstance(value, dict):
        items: Iterable[Any] = ((f"{path}.{key}", inner) for key, inner in value.items())
    elif isinstance(value, (list, tuple)):
        items = ((f"{path}[{at}]", inner) for at, inner in enumerate(value))
    else:
        return ""
    return next((found for inner_path, inner in items if (found := _find_nan(inner, inner_path))), "")


def to_line(event: Any) -> bytes:
    """Returns an event as one line of JSON, with its line end.

    ``bytes`` and ``str`` must already be JSON text.

    Raises:
        TypeError: The event contains a value that JSON cannot represent.
        ValueError: The event contains a NaN or an infinity.
    """
    if isinstance(event, (bytes, bytearray, memoryview)):
        # Between values, line feed and carriage return are both white space. Within a string, both are invalid, so the error remains.
        return bytes(event).replace(b"\n", b"\r") + b"\n"
    if isinstance(event, str):
        return to_line(event.encode("utf-8", "surrogatepass"))
    try:
        text = json.dumps(event, default=_plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        where = _find_nan(event, "event")
        if not where:
            raise
        raise ValueError(f"{where} is NaN or infinite, which JSON cannot hold; use None") from error
    if _MARK in text:
        text = _NUMBER.sub(r"\1", text)
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        # A lone surrogate: only an escape can represent it.
        escaped = json.dumps(event, default=_plain, allow_nan=False, separators=(",", ":"))
        return _NUMBER.sub(r"\1", escaped).encode() + b"\n"


_PIECE = 64 << 10


def chunks(events: Iterable[Any]) -> Iterator[Tuple[bytes, int]]:
    """Yields events as chunks of lines, with the number of lines in each. A list or an Arrow batch makes large chunks.
    An event of a generator is a chunk of its own, since the next event may depend on its verdict."""
    if isinstance(events, (list, tuple)):
        yield from _pieces(events)
        return
    for event in events:
        to_pylist = getattr(event, "to_pylist", None)
        if callable(to_pylist):
            batch: List[Any] = to_pylist()
            yield from _pieces(batch)
        else:
            yield to_line(event), 1


def _pieces(events: Iterable[Any]) -> Iterator[Tuple[bytes, int]]:
    """Yields large chunks. If an event cannot be written, raises its error after a chunk with the events before it."""
    piece: List[bytes] = []
    size = 0
    try:
        for event in events:
            to_pylist = getattr(event, "to_pylist", None)
            if callable(to_pylist):
                yield b"".join(piece), len(piece)
                piece, size = [], 0
                yield from _pieces(to_pylist())
                continue
            line = to_line(event)
            piece.append(line)
            size += len(line)
            if size >= _PIECE:
                yield b"".join(piece), len(piece)
                piece, size = [], 0
    except (TypeError, ValueError):
        yield b"".join(piece), len(piece)
        raise
    yield b"".join(piece), len(piece)
