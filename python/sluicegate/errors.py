"""The exceptions of this package."""

from __future__ import annotations

from typing import Any, Optional


class SluicegateError(Exception):
    """The base class of all exceptions of this package."""


class LoadError(SluicegateError):
    """The transformation or an option is invalid. The text is the error message of the command."""


class ProcessDied(SluicegateError):
    """The process ended before it had answered every event.

    ``sent`` is the number of events written to the process, ``answered`` the number of events that have a verdict.
    """

    def __init__(self, message: str, sent: int, answered: int) -> None:
        super().__init__(message)
        self.sent = sent
        self.answered = answered


class TransformationFailed(SluicegateError):
    """An event failed, and ``on_failure`` is ``"raise"``."""

    def __init__(self, message: str, index: int, failure: Optional[Any] = None) -> None:
        super().__init__(message)
        self.index = index
        self.failure = failure
