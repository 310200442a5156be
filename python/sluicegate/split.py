"""The events of a verdict line as they are written, without loss: parsing and printing them would round numbers."""

from __future__ import annotations

import json
import re
from typing import List

OK = b'{"verdict":"ok","events":['
"""How the verdict on an event that goes out begins."""

_OK_END = b"]}\n"
# Where one event may end and the next begin. It stands within events too.
_SEAM = re.compile(rb"\}[ \t\r]*,[ \t\r]*\{")
_NO_BRACE = bytes(sorted(set(range(256)) - set(b"{}")))
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}]')
_decode = json.JSONDecoder().raw_decode


def split(line: bytes) -> List[bytes]:
    """The events of a verdict line that begins with :data:`OK`."""
    body = line[len(OK) : -len(_OK_END)]
    if _SEAM.search(body) is None or _is_one(body):
        return [body]
    return _parse(body)


def _is_one(body: bytes) -> bool:
    """Whether the first brace belongs to the last one. Half the time of parsing it."""
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Every other part stands between strings.
    braces = b"".join(body.split(b'"')[::2]).translate(None, _NO_BRACE)[1:-1]
    while braces:
        fewer = braces.replace(b"{}", b"")
        if len(fewer) == len(braces):
            return False
        braces = fewer
    return True


def _parse(body: bytes) -> List[bytes]:
    """Events that are several, by parsing them."""
    text = body.decode()
    found: List[bytes] = []
    start = 0
    try:
        while start < len(text):
            end: int = _decode(text, _first(text, start))[1]
            comma = text.find(",", end)
            comma = len(text) if comma < 0 else comma
            found.append(text[start:comma].encode())
            start = comma + 1
    except RecursionError:
        return _parse_deep(text)
    return found


def _first(text: str, start: int) -> int:
    """Where the blanks end."""
    while text[start] in " \t\r":
        start += 1
    return start


def _parse_deep(text: str) -> List[bytes]:
    """The same, of events so deep that the json module gives up."""
    found: List[bytes] = []
    depth = start = 0
    for token in _TOKEN.finditer(text):
        if token[0] == "{":
            depth += 1
        elif token[0] == "}":
            depth -= 1
            if depth == 0:
                comma = text.find(",", token.end())
                comma = len(text) if comma < 0 else comma
                found.append(text[start:comma].encode())
                start = comma + 1
    return found
