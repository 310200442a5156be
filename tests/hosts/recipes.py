"""Reads the recipes of a page of the docs: code blocks with their name in a comment above, ``<!-- recipe: NAME -->``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, TypeVar

ROOT = Path(__file__).resolve().parent.parent.parent
T = TypeVar("T")

_RECIPE = re.compile(r"<!-- recipe: (\S+) -->\n```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# In seconds. Far more than any step needs, so a condition that is false after this time will never be true.
_PATIENCE = 120


def recipes(page: str) -> Dict[str, str]:
    """Returns the recipes of a page by name."""
    return dict(_RECIPE.findall((ROOT / "docs" / page).read_text()))


def write(page: str, folder: Path, *names: str) -> None:
    """Writes recipes to files with the same names."""
    known = recipes(page)
    for name in names:
        (folder / name).write_text(known[name])


def environment(binary: Path, **more: str) -> Dict[str, str]:
    """Returns environment variables that make the package and the command available, as if they were installed."""
    known = {key: value for key, value in os.environ.items() if key not in ("SLUICEGATE_BIN", "PYTHONPATH")}
    path = f"{binary.parent}:{Path(sys.executable).parent}:{known['PATH']}"
    return {**known, "PATH": path, "PYTHONPATH": str(ROOT / "python"), "SLUICEGATE_BIN": str(binary), **more}


def shell(script: str, folder: Path, variables: Dict[str, str]) -> str:
    """Runs a script, which must succeed, and returns its standard output."""
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


def until(condition: Callable[[], Optional[T]]) -> T:
    """Waits until a condition returns a true value, and returns this value."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("what was waited for did not come")


def _parents() -> Dict[int, int]:
    found: Dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                found[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    return found


def descendants(pid: int) -> Iterator[int]:
    """Yields all descendants of a process."""
    parents = _parents()
    todo: List[int] = [pid]
    while todo:
        parent = todo.pop()
        children = [child for child, of in parents.items() if of == parent]
        yield from children
        todo += children


def command_line(pid: int) -> List[str]:
    """Returns the command line of a process, as a list. Empty if the process has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def supervisors(pid: int) -> List[int]:
    """Returns the descendants of a process that are ``sluicegate run`` processes."""
    return [child for child in descendants(pid) if command_line(child)[1:2] == ["run"] and "--emit=framed" in command_line(child)]
