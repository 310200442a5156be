"""Tests with the real engines. SLUICEGATE_BIN names the command. `make test-hosts` sets everything up."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from recipes import ROOT

sys.path.insert(0, str(ROOT / "python"))


@pytest.fixture(scope="session")
def binary() -> Path:
    """Returns the path of the command. Its file name must be sluicegate."""
    named = Path(os.environ["SLUICEGATE_BIN"]).resolve()
    assert named.name == "sluicegate", f"{named} has to be called sluicegate, as in the recipes"
    return named
