"""What comes back for an event."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional


@dataclass(frozen=True)
class Failure:
    """Why an event failed."""

    kind: str
    """``exception``, ``timeout``, ``memory``, ``bad_return``, ``invalid_json``, …; stable, for programs."""
    message: str
    """One sentence for people."""
    name: Optional[str] = None
    """The error's name, such as ``TypeError``."""
    stack: Optional[str] = None
    file: Optional[str] = None
    line: Optional[int] = None
    column: Optional[int] = None


@dataclass(frozen=True)
class Verdict:
    """The verdict on one event."""

    index: int
    """The event's place among those that were given, from 0."""
    verdict: str
    """``ok``, ``dropped`` or ``failed``."""
    events: List[Any] = field(default_factory=list)
    """What goes out. Empty unless ``verdict`` is ``ok``."""
    failure: Optional[Failure] = None
    """Why it failed, if it did."""

    @property
    def ok(self) -> bool:
        """Whether the event went out."""
        return self.verdict == "ok"


def parse(line: bytes, index: int) -> Verdict:
    """Reads a verdict line."""
    found: Dict[str, Any] = json.loads(line)
    kind = found["verdict"]
    if kind != "failed":
        return Verdict(index, kind, found.get("events", []))
    known = {key: found.get(key) for key in ("name", "stack", "file", "line", "column")}
    return Verdict(index, kind, [], Failure(found["kind"], found["message"], **known))
