"""Tests the recipes of docs/sql.md with Postgres, DuckDB and ClickHouse's engine, on valid, invalid and unusual rows."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import duckdb
import pytest

from recipes import environment, recipes, shell, write

COUNT = 20_000
ODD = [
    "id,name",
    '{"email":" \\"A\\" <A@X.org>","path":"C:\\\\new\\ttab","u":"\\u0000 ü 😀"}',
    '{\n"email": "B@x.org",\r\n"big": 12345678901234567890.5}',
    '{"email":"x\ny"}',
    "oops",
    "[1]",
    "\\.",
    '{"email":"t@x.org","test":true}',
    '{"email":7}',
    "'\"",
    '{"email":"end of batch"}',
]


def rows() -> List[Tuple[int, str]]:
    """Returns all rows. The unusual ones come first, so the very first row is invalid."""
    return [(n, ODD[n] if n < len(ODD) else json.dumps({"email": f"U{n}@X.org"})) for n in range(COUNT)]


def expected() -> Dict[int, Tuple[str, Any]]:
    """Returns the verdict and the event of each row, by its id."""
    known: Dict[int, Tuple[str, Any]] = {n: ("ok", {"email": f"u{n}@x.org"}) for n in range(COUNT)}
    for n in (0, 3, 4, 5, 6, 8, 9):
        known[n] = ("failed", None)
    known[1] = ("ok", {"email": '"a" <a@x.org>', "path": "C:\\new\ttab", "u": "\0 ü 😀"})
    known[2] = ("ok", {"email": "b@x.org", "big": 12345678901234567890.5})
    known[7] = ("dropped", None)
    known[10] = ("ok", {"email": "end of batch"})
    return known


KNOWN = expected()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write("sql.md", tmp_path, "clean.js")
    return tmp_path


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Dict[str, str]]:
    """Starts a server, and yields the variables that tell psql where it is."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    home = tmp_path / "server"
    home.mkdir()
    user: List[str] = []
    if os.getuid() == 0:
        # Postgres refuses to run as root, and the parent of its folder is accessible only to root.
        for parent in [home, *home.parents][:-2]:
            parent.chmod(parent.stat().st_mode | 0o055)
        subprocess.run(["chown", "postgres", home], check=True)
        user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]

    def run(*command: Any) -> None:
        subprocess.run([*user, *map(str, command)], check=True, stdout=subprocess.DEVNULL, cwd="/")

    run(programs / "initdb", "-D", home / "data", "-A", "trust", "-U", "postgres", "-E", "UTF8")
    run(programs / "pg_ctl", "-D", home / "data", "-w", "-l", home / "log", "-o", f"-k {home} -c listen_addresses='' -c fsync=off", "start")
    yield {"PGHOST": str(home), "PGUSER": "postgres"}
    run(programs / "pg_ctl", "-D", home / "data", "-m", "immediate", "stop")


def test_postgres(folder: Path, binary: Path, postgres: Dict[str, str]) -> None:
    variables = environment(binary, **postgres)
    known = recipes("sql.md")

    def sql(script: str, given: str = "") -> str:
        command = ["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", script]
        done = subprocess.run(command, env=variables, input=given, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    sql(known["tables.sql"])
    table = "".join(f"{n}\x02{event}\n" if "\n" not in event and event else f"{n}\x02\x01{event}\x01\n" for n, event in rows())
    sql(r"COPY events FROM STDIN WITH (FORMAT csv, QUOTE e'\x01', DELIMITER e'\x02')", table)
    for _ in range(2):  # in the second run, the tables exist
        shell(known["postgres.sh"], folder, variables)
    sql(known["postgres.sql"])
    answers = [json.loads(line) for line in sql("SELECT json_build_array(id, line ->> 'verdict', event) FROM answers ORDER BY id").splitlines()]
    assert [(n, verdict) for n, verdict, _ in answers] == [(n, verdict) for n, (verdict, _) in KNOWN.items()]
    assert [(n, event) for n, _, event in answers] == rows()
    out = dict(json.loads(line) for line in sql("SELECT json_build_array(id, event) FROM clean ORDER BY id").splitlines())
    good = {n: event for n, (verdict, event) in KNOWN.items() if verdict == "ok"}
    good[1] = {**good[1], "u": "\ufffd ü 😀"}
    assert out == good
    failed = sql("SELECT id, kind, message FROM failed ORDER BY id").splitlines()
    assert len(failed) == 7 and "8|exception|email is 7" in failed


@pytest.fixture
def shop(folder: Path, binary: Path) -> Path:
    # Created by the older of the two versions, so both can read it.
    (folder / "events.jsonl").write_text("".join(json.dumps({"id": n, "event": event}) + "\n" for n, event in rows()[:2000]))
    shell("duckdb shop.db \"CREATE TABLE events AS FROM read_ndjson('events.jsonl', columns = {id: 'BIGINT', event: 'VARCHAR'})\"", folder, environment(binary))
    return folder


def test_duckdb_on_the_command_line(shop: Path, binary: Path) -> None:
    variables = environment(binary)
    for _ in range(2):
        shell(recipes("sql.md")["duckdb.sh"], shop, variables)
    out = shell("duckdb -jsonlines shop.db 'SELECT n - 1 AS id, verdict FROM verdicts ORDER BY n'", shop, variables)
    assert [tuple(json.loads(line).values()) for line in out.splitlines()] == [(n, KNOWN[n][0]) for n in range(2000)]
    out = shell("duckdb -jsonlines shop.db 'SELECT id, event FROM clean ORDER BY id'", shop, variables)
    found = {row["id"]: row["event"] for row in map(json.loads, out.splitlines())}
    assert found == {n: event for n, (verdict, event) in KNOWN.items() if verdict == "ok" and n < 2000}


def test_duckdb_from_python(shop: Path, binary: Path) -> None:
    write("sql.md", shop, "duckdb.py")
    # A file called duckdb.py would be imported instead of the module.
    (shop / "duckdb.py").rename(shop / "recipe.py")
    shell("python recipe.py", shop, environment(binary))
    connection = duckdb.connect(str(shop / "shop.db"), read_only=True)
    found = connection.execute("SELECT id, verdict, events, failure FROM answers ORDER BY id").fetchall()
    assert [(id, verdict) for id, verdict, _, _ in found] == [(n, KNOWN[n][0]) for n in range(2000)]
    assert [json.loads(event) for _, _, events, _ in found for event in events] == [event for n, (_, event) in KNOWN.items() if event and n < 2000]
    assert found[8][3] == "email is 7"


CLICKHOUSE = """
import json, sys, chdb
from chdb import session
folder, kind, script = sys.argv[1:]
if kind == "session":
    connection = session.Session(folder + "/db")
    run = lambda sql: connection.query(sql, "JSONEachRow")
else:
    run = lambda sql: chdb.query(sql, "JSONEachRow", path=folder + "/db", udf_path=folder + "/udf")
run("CREATE TABLE IF NOT EXISTS events (id UInt64, event String) ENGINE = MergeTree ORDER BY id")
if not str(run("SELECT 1 FROM events LIMIT 1")).strip():
    run(f"INSERT INTO events SELECT id, event FROM file('{folder}/events.jsonl', 'JSONEachRow', 'id UInt64, event String')")
print(run(open(script).read()))
"""


@pytest.fixture
def clickhouse(folder: Path, binary: Path) -> Any:
    (folder / "events.jsonl").write_text("".join(json.dumps({"id": n, "event": event}) + "\n" for n, event in rows()))
    (folder / "query.py").write_text(CLICKHOUSE)
    for place in ("db/user_scripts", "udf"):
        (folder / place).mkdir(parents=True)
        write("sql.md", folder / place, "clean", "clean.js", "clean_function.xml")
        (folder / place / "clean").chmod(0o755)

    def query(kind: str, script: str) -> List[Dict[str, Any]]:
        (folder / "script.sql").write_text(script)
        out = shell(f"python query.py {folder} {kind} script.sql", folder, environment(binary))
        return [json.loads(line) for line in out.splitlines() if line]

    return query


def test_clickhouse_lines(clickhouse: Any) -> None:
    found = clickhouse("session", recipes("sql.md")["line.sql"])
    assert [(row["id"], row["verdict"]) for row in found] == [(n, verdict) for n, (verdict, _) in KNOWN.items()]
    for row in found:
        if row["verdict"] == "ok":
            assert json.loads(row["answer"])["events"] == [KNOWN[row["id"]][1]]


def test_clickhouse_typed(clickhouse: Any) -> None:
    script = recipes("sql.md")["executable.sql"].replace("replaceRegexpAll(event, '[\\n\\r]', '\\t') AS line", "id, concat('U', toString(id)) AS email")
    assert "AS email" in script
    found = clickhouse("session", script)
    assert [(row["verdict"], row["events"]) for row in found] == [("ok", [{"email": f"u{n}", "id": n}]) for n in range(COUNT)]
    assert {row["kind"] for row in clickhouse("session", recipes("sql.md")["executable.sql"])} == {"exception"}


def test_clickhouse_function(clickhouse: Any) -> None:
    found = clickhouse("function", recipes("sql.md")["function.sql"])
    known = dict(KNOWN)
    # ClickHouse rounds this number.
    known[2] = ("ok", {**KNOWN[2][1], "big": 12345678901234567000})
    assert [(row["id"], row["verdict"], row["event"] and json.loads(row["event"])) for row in found] == [
        (n, verdict, event or "") for n, (verdict, event) in known.items()
    ]
