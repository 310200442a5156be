"""Runs a user's JavaScript over every event of a stream: sandboxed, bounded, in order, never losing an event."""

from .errors import LoadError, ProcessDied, SluicegateError, TransformationFailed
from .transformation import Transformation, binary, version
from .verdict import Failure, Verdict

__all__ = [
    "Failure",
    "LoadError",
    "ProcessDied",
    "SluicegateError",
    "Transformation",
    "TransformationFailed",
    "Verdict",
    "binary",
    "version",
]
