"""Tests docs/pipelines.md with dlt, Dagster and GNU parallel."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from recipes import environment, recipes, shell, write

COUNT = 20_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write("pipelines.md", tmp_path, "clean.js", "load.py", "assets.py")
    lines = [json.dumps({"id": n, "email": f" P{n}@X.org", "test": n % 3 == 0}) if n % 500 != 7 else "oops" for n in range(COUNT)]
    (tmp_path / "events.jsonl").write_text("".join(line + "\n" for line in lines))
    return tmp_path


def expected() -> list[int]:
    return [n for n in range(COUNT) if n % 3 and n % 500 != 7]


def ids(path: Path) -> list[int]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(row["email"] == f"p{row['id']}@x.org" for row in rows)
    return [row["id"] for row in rows]


def test_dlt(folder: Path, binary: Path) -> None:
    variables = environment(binary, RUNTIME__DLTHUB_TELEMETRY="false", DO_NOT_TRACK="1", HOME=str(folder))
    shell("python load.py", folder, variables)
    connection = duckdb.connect(str(folder / "people.db"), read_only=True)
    found = connection.execute("SELECT id, email FROM shop.cleaned ORDER BY id").fetchall()
    assert found == [(n, f"p{n % 1000}@x.org") for n in range(3000) if n % 1000 > 1]
    letters = [letter for (letter,) in connection.execute("SELECT letter FROM shop.dead_letters").fetchall()]
    assert sorted(json.loads(json.loads(letter)["event"])["id"] for letter in letters) == [0, 1000, 2000]


def test_dagster(folder: Path, binary: Path) -> None:
    variables = environment(binary, DAGSTER_HOME=str(folder), DAGSTER_DISABLE_TELEMETRY="yes")
    run = "import dagster, assets; result = dagster.materialize([assets.clean_events], raise_on_error={}); assert result.success == {}, result"
    shell(f'python -c "{run.format(True, True)}"', folder, variables)
    assert ids(folder / "clean.jsonl") == expected()
    assert len((folder / "dead.jsonl").read_text().splitlines()) == COUNT // 500
    # The run fails if there are too many failures or the code does not load. In both cases, the old output stays.
    (folder / "events.jsonl").write_text("oops\n" * 10)
    shell(f'python -c "{run.format(False, False)}"', folder, variables)
    (folder / "clean.js").write_text("export function")
    shell(f'python -c "{run.format(False, False)}"', folder, variables)
    assert ids(folder / "clean.jsonl") == expected()


def test_parallel(folder: Path, binary: Path) -> None:
    variables = environment(binary, HOME=str(folder))
    shell("mkdir -p .parallel; touch .parallel/will-cite\n" + recipes("pipelines.md")["parallel.sh"], folder, variables)
    assert ids(folder / "clean.jsonl") == expected()
    letters = [json.loads(line) for line in (folder / "dead.jsonl").read_text().splitlines()]
    assert len(letters) == COUNT // 500 and all(letter["event"] == "oops" for letter in letters)
