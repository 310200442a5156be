"""Tests with the real command. If it is not installed, SLUICEGATE_BIN must name it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import decimal
import doctest
import json
import os
import signal
import subprocess
import threading
import uuid
from pathlib import Path
from typing import Any, AsyncIterator, Iterator

import pytest

import sluicegate
from sluicegate import framing
from sluicegate import transformation as module
from sluicegate.verdict import parse

IDENTITY = "export function transformEvent(event) { return event; }"
MIXED = """
export function transformEvent(event) {
  if (event.n % 50000 === 49999) for (;;);
  if (event.n % 1000 === 7) throw new TypeError('seven');
  if (event.n % 3 === 0) return null;
  if (event.n % 3 === 1) return [event, { copy: event.n }];
  return event;
}
"""


def run(code: str, events: Any, **options: Any) -> list[sluicegate.Verdict]:
    with sluicegate.Transformation.from_source(code, **options) as transformation:
        return list(transformation(events))


def test_the_docstrings_hold() -> None:
    failed, tried = doctest.testmod(module)
    assert tried > 0 and failed == 0


def test_the_readme_shows_what_comes_out(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parent.parent / "README.md").read_text()
    code, output = (text.split(f"```{kind}\n")[1].split("```")[0] for kind in ("python", "text"))
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out == output


def test_every_event_has_one_verdict_in_order() -> None:
    count = 200_000
    seen = 0
    with sluicegate.Transformation.from_source(MIXED, limits={"cpu": "100ms"}) as transformation:
        for n, verdict in enumerate(transformation({"n": n} for n in range(count))):
            assert verdict.index == n
            if n % 50_000 == 49_999:
                assert verdict.failure is not None and verdict.failure.kind == "timeout"
            elif n % 1000 == 7:
                assert verdict.failure is not None and verdict.failure.name == "TypeError" and verdict.failure.line == 4
            elif n % 3 == 0:
                assert verdict.verdict == "dropped"
            elif n % 3 == 1:
                assert verdict.events == [{"n": n}, {"copy": n}]
            else:
                assert verdict.events == [{"n": n}]
            seen += 1
    assert seen == count


def test_an_endless_event_fails_alone() -> None:
    code = "export function transformEvent(event) { if (event.n === 5) for (;;); return event; }"
    verdicts = run(code, [{"n": n} for n in range(10)], limits={"cpu": "100ms"})
    assert [verdict.ok for verdict in verdicts] == [n != 5 for n in range(10)]
    assert verdicts[5].failure is not None and verdicts[5].failure.kind == "timeout"


def test_values_arrive_without_loss() -> None:
    numpy = pytest.importorskip("numpy")
    event = {
        "big": 2**63 + 1,
        "decimal": decimal.Decimal("12345678901234567890.123456789"),
        "when": datetime.datetime(2026, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc),
        "id": uuid.UUID("2ed6657d-e927-568b-95e1-2665a8aea6a2"),
        "i64": numpy.int64(2**62 + 1),
        "f32": numpy.float32(0.5),
        "list": numpy.array([1, 2]),
        "text": "line\nend \u2028 ü 😀",
    }
    with sluicegate.Transformation.from_source(IDENTITY) as transformation:
        (verdict,) = transformation([event])
    (out,) = verdict.events
    assert out["big"] == 2**63 + 1 and out["i64"] == 2**62 + 1 and out["f32"] == 0.5 and out["list"] == [1, 2]
    assert out["when"] == "2026-02-03T04:05:06+00:00" and out["id"] == str(event["id"]) and out["text"] == event["text"]
    from sluicegate.encoding import to_line

    assert b'"decimal":12345678901234567890.123456789' in to_line(event)


def test_json_and_arrow_are_taken_as_they_come() -> None:
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({"n": [1, 2, 3], "s": ["a", None, "c"]})
    verdicts = run(IDENTITY, [b'{"id":9007199254740993}', '{\n  "pretty": true\n}', *table.to_batches()])
    assert [verdict.events[0] for verdict in verdicts] == [
        {"id": 9007199254740993}, {"pretty": True}, {"n": 1, "s": "a"}, {"n": 2, "s": None}, {"n": 3, "s": "c"},
    ]


def test_what_json_cannot_say_is_named() -> None:
    with pytest.raises(ValueError, match=r"event\.a\[1\] is NaN"):
        run(IDENTITY, [{"a": [1, float("nan")]}])
    with pytest.raises(TypeError, match="an event cannot hold a set"):
        run(IDENTITY, [{"a": {1, 2}}])


def test_an_error_of_the_iterable_is_raised_after_its_events() -> None:
    def events() -> Iterator[Any]:
        yield {"n": 1}
        yield {"n": 2}
        raise KeyError("upstream")

    seen = []
    with sluicegate.Transformation.from_source(IDENTITY) as transformation, pytest.raises(KeyError, match="upstream"):
        for verdict in transformation(events()):
            seen.append(verdict.events[0]["n"])
    assert seen == [1, 2]


def test_code_that_does_not_load_says_why() -> None:
    with pytest.raises(sluicegate.LoadError, match="Expected one of transformEvent,transformBatch"):
        run("export const x = 1;", [{"n": 1}])
    with pytest.raises(sluicegate.LoadError, match="there is no such file"):
        list(sluicegate.Transformation("missing.js")([{"n": 1}]))


def test_a_failure_can_be_raised() -> None:
    with pytest.raises(sluicegate.TransformationFailed, match="event 7: exception: seven") as raised:
        run(MIXED, ({"n": n} for n in range(100)), on_failure="raise")
    assert raised.value.index == 7


def test_an_early_exit_leaves_no_process() -> None:
    def endless() -> Iterator[Any]:
        n = 0
        while True:
            yield {"n": n}
            n += 1

    transformation = sluicegate.Transformation.from_source(IDENTITY)
    verdicts = transformation(endless())
    assert next(verdicts).ok
    verdicts.close()
    transformation.close()
    children = subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, text=True).stdout
    assert "sluicegate" not in children


@pytest.mark.parametrize("who", ["supervisor", "worker"])
def test_a_killed_process_loses_no_event_in_silence(who: str, tmp_path: Path) -> None:
    (tmp_path / "t.js").write_text(MIXED)
    count = 200_000
    answered = 0
    transformation = sluicegate.Transformation(tmp_path / "t.js", workers=1, limits={"cpu": "100ms"})
    try:
        for verdict in transformation({"n": n} for n in range(count)):
            if answered % 50_000 == 49_999 or answered % 1000 == 7:
                assert verdict.verdict == "failed"
            else:
                assert verdict.events == [[], [{"n": answered}, {"copy": answered}], [{"n": answered}]][answered % 3]
            answered += 1
            if answered == 1000:
                (run_of,) = transformation._runs
                pid = run_of._process.pid
                if who == "worker":
                    pid = int(subprocess.run(["pgrep", "-P", str(pid)], check=True, capture_output=True, text=True).stdout.split()[0])
                os.kill(pid, signal.SIGKILL)
    except sluicegate.ProcessDied as error:
        assert who == "supervisor" and "killed by signal 9" in str(error) and error.answered == answered < count
    else:
        assert who == "worker" and answered == count
    finally:
        transformation.close()


def test_libraries_metadata_and_credentials(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "phone numbers.js").write_text("export const digits = (text) => text.replace(/\\D/g, '');")
    (tmp_path / "t.js").write_text(
        "import { digits } from 'phoneNumbers';\n"
        "export function transformEvent(event, metadata) {\n"
        "  return { phone: digits(event.phone), source: metadata(event).sourceId, key: getCredential('k').length };\n}"
    )
    with sluicegate.Transformation(
        tmp_path / "t.js", libraries=[tmp_path / "lib"], metadata={"sourceId": "s1"}, credentials={"k": "secret"}
    ) as transformation:
        (verdict,) = transformation([{"phone": "+49 (30) 1"}])
    assert verdict.events == [{"phone": "49301", "source": "s1", "key": 6}]


def test_a_verdict_comes_before_the_next_event_is_asked_for() -> None:
    answered: list[int] = []

    def events() -> Iterator[Any]:
        for n in range(5):
            yield {"n": n}
            # The next event comes only after a verdict.
            while len(answered) <= n:
                condition.wait(timeout=60)

    condition = threading.Condition()

    class Feed:
        def __iter__(self) -> Iterator[Any]:
            with condition:
                yield from events()

    with sluicegate.Transformation.from_source(IDENTITY) as transformation:
        for verdict in transformation(Feed()):
            with condition:
                answered.append(verdict.index)
                condition.notify()
    assert answered == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("first", [b"id,name", b"[{", b"\x1f\x8b\x08", b"{", b"\xff\xfe{\0"])
def test_a_first_event_that_looks_like_another_format_fails_alone(first: bytes) -> None:
    verdicts = run(IDENTITY, [first, b"1,Ada", b'{"a":1}'])
    assert [verdict.verdict for verdict in verdicts] == ["failed", "failed", "ok"]


def test_a_dead_letter_runs_again(tmp_path: Path) -> None:
    (tmp_path / "t.js").write_text(MIXED)
    events: list[Any] = [{"n": 7}, {"n": 8}, b'{"n":\xff}', {"n": 1007}]
    with sluicegate.Transformation("t.js", folder=tmp_path) as transformation:
        verdicts = list(transformation(events))
        letters = [transformation.dead_letter(verdict, events[verdict.index]) for verdict in verdicts if verdict.failure]
        with pytest.raises(ValueError, match="did not fail"):
            transformation.dead_letter(verdicts[1], events[1])
    (tmp_path / "in.jsonl").write_bytes(b'{"n":7}\n{"n":8}\n{"n":\xff}\n{"n":1007}\n')
    command = [sluicegate.binary(), "run", "t.js", "in.jsonl", "-q", "--errors", "dead.jsonl", "--fail-on", "never"]
    subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    for ours, theirs in zip(map(json.loads, letters), map(json.loads, (tmp_path / "dead.jsonl").read_text().splitlines()), strict=True):
        del theirs["run"], theirs["input_file"]
        assert ours.pop("input_offset") == 0 and theirs.pop("input_offset") >= 0
        assert ours == theirs
    again = subprocess.run([sluicegate.binary(), "replay", "--all", "-"], input="\n".join(letters), cwd=tmp_path, capture_output=True, text=True)
    assert "3 in = 0 ok + 0 dropped + 3 failed" in again.stderr


def test_source_with_metadata_and_credentials() -> None:
    code = "export function transformEvent(event, metadata) { return { id: metadata(event).sourceId, key: getCredential('k') }; }"
    (verdict,) = run(code, [{}], metadata={"sourceId": "s"}, credentials={"k": "v"})
    assert verdict.events == [{"id": "s", "key": "v"}]


def test_a_list_and_a_table_that_cannot_be_written_keep_what_came_before() -> None:
    seen = []
    with sluicegate.Transformation.from_source(IDENTITY) as transformation, pytest.raises(TypeError, match="cannot hold a set"):
        for verdict in transformation([{"n": 0}, {"n": 1}, {"n": {2}}, {"n": 3}]):
            seen.append(verdict.events[0]["n"])
    assert seen == [0, 1]


def test_asyncio_gives_the_same_and_stays_awake() -> None:
    async def events() -> AsyncIterator[Any]:
        for n in range(20_000):
            yield {"n": n}

    async def main() -> list[sluicegate.Verdict]:
        with sluicegate.Transformation.from_source(MIXED) as transformation:
            return [verdict async for verdict in transformation.stream(events())]

    def known(verdicts: list[sluicegate.Verdict]) -> list[Any]:
        return [(verdict.index, verdict.verdict, verdict.events, verdict.failure and verdict.failure.line) for verdict in verdicts]

    assert known(asyncio.run(main())) == known(run(MIXED, ({"n": n} for n in range(20_000))))


def test_asyncio_tells_errors_and_leaves_no_process(tmp_path: Path) -> None:
    async def failing() -> AsyncIterator[Any]:
        yield {"n": 1}
        raise KeyError("upstream")

    async def endless() -> AsyncIterator[Any]:
        while True:
            yield {"text": "x" * 100_000}

    async def main() -> None:
        with sluicegate.Transformation.from_source(IDENTITY, workers=1) as transformation:
            seen = []
            with pytest.raises(KeyError, match="upstream"):
                async for verdict in transformation.stream(failing()):
                    seen.append(verdict.events)
            assert seen == [[{"n": 1}]]
            async with contextlib.aclosing(transformation.stream(endless())) as verdicts:
                assert (await anext(verdicts)).ok
            answered = 0
            with pytest.raises(sluicegate.ProcessDied, match="killed by signal 9"):
                async for _ in transformation.stream(endless()):
                    answered += 1
                    if answered == 10:
                        os.kill(int(subprocess.run(["pgrep", "-P", str(os.getpid()), "sluicegate"], capture_output=True, text=True).stdout.split()[0]), signal.SIGKILL)
            with pytest.raises(sluicegate.LoadError, match="there is no such file"):
                async for _ in sluicegate.Transformation("missing.js").stream([{}]):
                    pass

    asyncio.run(main())
    assert "sluicegate" not in subprocess.run(["pgrep", "-lP", str(os.getpid())], capture_output=True, text=True).stdout


def test_an_error_in_a_loop_of_asyncio_ends_the_run() -> None:
    async def endless() -> AsyncIterator[Any]:
        while True:
            yield {"text": "x" * 100_000}

    async def main() -> None:
        with sluicegate.Transformation.from_source(IDENTITY, workers=1) as transformation:
            async for verdict in transformation.stream(endless()):
                # By then, there are more answers than asyncio reads ahead.
                assert verdict.index < 50

    with pytest.raises(AssertionError):
        asyncio.run(main())
    assert "sluicegate" not in subprocess.run(["pgrep", "-lP", str(os.getpid())], capture_output=True, text=True).stdout


@pytest.mark.parametrize("size", [1, 2, 7, 40, 1000])
def test_answers_are_whole_in_blocks_of_any_size(size: int) -> None:
    expected = [
        (b'{"verdict":"ok","count":1}', [b'{"n":1}']),
        (b'{"verdict":"dropped"}', []),
        (b'{"verdict":"ok","count":0}', []),
        (b'{"verdict":"ok","count":12}', [b'{"verdict":"ok","count":9}'] * 12),
        (b'{"verdict":"failed","kind":"timeout"}', []),
        (b'{"verdict":"ok","count":2}', [b'{"text":"' + b"x" * 300 + b'"}', b" {}\r"]),
    ]
    text = b"".join(line + b"\n" for verdict, events in expected for line in [verdict, *events])
    answers = framing.Answers()
    assert [answer for at in range(0, len(text), size) for answer in answers.feed(text[at : at + size])] == expected


def test_lines_keep_what_python_would_round() -> None:
    event = b'{"a":1.10,"b":123456789012345678901234567890.5,"list":[{"x":{}},{"y":"},{"}]}'
    code = "export function transformEvent(event) { return event.two ? [event, { made: true }, event] : event; }"
    one, several = run(code, [event, event.replace(b"{", b'{"two":1,', 1)])
    assert one.lines == [event]
    assert several.lines == [event.replace(b"{", b'{"two":1,', 1), b'{"made":true}', event.replace(b"{", b'{"two":1,', 1)]


# Some events are slow, so unordered results would be in another order.
AT_TIMES_SLOW = "export function transformEvent(event) { if (event.n % 100 === 0) for (const end = Date.now() + 30; Date.now() < end; ); return event; }"


@pytest.mark.parametrize("setting", ["unordered = true", 'input-format = "json"', "chunk-header = true", 'emit = "verdicts"', 'output = "out.jsonl"'])
def test_no_setting_of_a_file_or_the_environment_shifts_verdicts(setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = [{"n": n} for n in range(600)]

    def check() -> None:
        got = run(AT_TIMES_SLOW, events, workers=2, folder=tmp_path)
        assert [verdict.events for verdict in got] == [[event] for event in events]

    (tmp_path / "sluicegate.toml").write_text(f"[run]\n{setting}\n")
    check()
    (tmp_path / "sluicegate.toml").unlink()
    key, value = setting.split(" = ")
    monkeypatch.setenv("SLUICEGATE_" + key.upper().replace("-", "_"), value.strip('"'))
    check()


@pytest.mark.parametrize(
    "options",
    [
        ["--unordered"],
        ["--unordered=true"],
        ["--emit", "verdicts"],
        ["--emit=events"],
        ["--input-format", "json"],
        ["--chunk-header"],
        ["-o", "out"],
        ["-oout"],
        ["--output=out"],
        ["--"],
    ],
)
def test_options_that_verdicts_are_paired_by_are_refused(options: list[str]) -> None:
    with pytest.raises(ValueError, match=options[0].partition("=")[0][:2]):
        sluicegate.Transformation.from_source(IDENTITY, options=options)


def test_other_options_hold() -> None:
    rows = [{"message": {"n": 1}, "metadata": {"m": 2}}, {"message": 5}]
    got = run(IDENTITY, rows, options=["--envelope", "--errors", "-"])
    assert [verdict.events for verdict in got] == [[rows[0]], []]


def test_outputs_that_are_not_framed_are_an_error() -> None:
    for line in (b'{"verdict":"ok","events":[{"n":1}]}', b'{"verdict":"passed"}', b'{"n":1}'):
        with pytest.raises(sluicegate.SluicegateError, match="framed"):
            parse(line, [], 0)


def test_a_source_that_is_cancelled_does_not_end_the_stream_as_if_it_were_complete() -> None:
    async def source() -> AsyncIterator[Any]:
        for n in range(5):
            yield {"n": n}
        raise asyncio.CancelledError

    async def main() -> list[int]:
        got = []
        with sluicegate.Transformation.from_source(IDENTITY) as transformation:
            with pytest.raises(asyncio.CancelledError):
                async for verdict in transformation.stream(source()):
                    got.append(verdict.index)
        return got

    assert asyncio.run(main()) == [0, 1, 2, 3, 4]
