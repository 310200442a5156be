"""The exceptions of this package."""

from __future__ import annotations

from typing import Any, Optional


class SluicegateError(Exception):
    """The base of all exceptions of this package."""


class LoadError(SluicegateError):
    """The transformation, or an option, cannot be used. The text is the one that the command prints."""


class ProcessDied(SluicegateError):
    """The process ended before it had answered everything.

    ``answered`` events have their verdict; ``sent`` were written to it.
    """

    def __init__(self, message: str, sent: int, answered: int) -> None:
        super().__init__(message)
        self.sent = sent
        self.answered = answered


class TransformationFailed(SluicegateError):
    """An event failed, and ``on_failure="raise"`` was asked for."""

    def __init__(self, message: str, index: int, failure: Optional[Any] = None) -> None:
        super().__init__(message)
        self.index = index
        self.failure = failure
