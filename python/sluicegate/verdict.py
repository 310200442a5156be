"""The result for one event."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Dict, List, Optional

from .errors import SluicegateError
from .framing import OK


@dataclass(frozen=True)
class Failure:
    """Why an event failed."""

    kind: str
    """``exception``, ``timeout``, ``memory``, ``bad_return``, ``invalid_json``, … These names are stable, so programs can rely on them."""
    message: str
    """One sentence for people."""
    name: Optional[str] = None
    """The error's name, such as ``TypeError``."""
    stack: Optional[str] = None
    file: Optional[str] = None
    line: Optional[int] = None
    column: Optional[int] = None

    def as_dict(self) -> Dict[str, Any]:
        """Returns the known fields, as in verdict lines and dead letters."""
        return {key: value for key, value in self.__dict__.items() if value is not None}


@dataclass(frozen=True)
class Verdict:
    """The verdict on one event."""

    index: int
    """The event's position in the input, from 0."""
    verdict: str
    """``ok``, ``dropped`` or ``failed``."""
    failure: Optional[Failure] = None
    """Why the event failed, if it did."""
    lines: List[bytes] = field(default_factory=list, repr=False)
    """The output events as JSON. Numbers keep all their digits, while ``events`` may round them."""

    @cached_property
    def events(self) -> List[Any]:
        """The output events. Empty unless ``verdict`` is ``ok``."""
        return [json.loads(text) for text in self.lines]

    @property
    def ok(self) -> bool:
        """Whether ``verdict`` is ``ok``."""
        return self.verdict == "ok"


def parse(line: bytes, events: List[bytes], index: int) -> Verdict:
    """Parses a verdict line, with the output events that follow it."""
    if line.startswith(OK):
        return Verdict(index, "ok", None, events)
    found: Dict[str, Any] = json.loads(line)
    kind = kind_of(found)
    if kind == "dropped":
        return Verdict(index, kind)
    known = {key: found.get(key) for key in ("name", "stack", "file", "line", "column")}
    return Verdict(index, kind, Failure(found["kind"], found["message"], **known))


def kind_of(found: Dict[str, Any]) -> str:
    """Returns the verdict on an event without outputs.

    Raises:
        SluicegateError: The verdict is another one. Outputs that are not framed would be lost.
    """
    kind = found.get("verdict")
    if kind in ("dropped", "failed"):
        return str(kind)
    raise SluicegateError(f"the command answers {kind!r} without a count: it does not write framed verdicts")


def letter(
    failure: Dict[str, Any], event: bytes, transformation: str, code: str, *, file: Optional[str] = None, line: int = 1, offset: int = 0
) -> str:
    """Returns a dead letter, as ``sluicegate run --errors`` writes it, without the line end.

    Args:
        failure: The fields of its verdict line.
        event: The event's line.
        transformation: The transformation's name.
        code: The hash of the transformation's code.
        file: The file that the event was read from.
        line: The number of its line, from 1.
        offset: The offset of its first byte.
    """
    record: Dict[str, Any] = {"input_line": line, "input_offset": offset, **failure, "transformation": transformation, "code": code}
    if file is not None:
        record = {"input_file": file, **record}
    try:
        record["event"] = event.decode()
    except UnicodeDecodeError:
        record["event_base64"] = base64.b64encode(event).decode()
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))
