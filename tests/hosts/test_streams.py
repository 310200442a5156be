"""Tests the bridges of docs/streams.md, which are killed with `kill -9` again and again while they work."""

from __future__ import annotations

import asyncio
import collections
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest

from recipes import environment, recipes, supervisors, until, write

COUNT = 20_000
KILLS = 4


def event(n: int) -> bytes:
    if n % 1000 == 3:
        return b"oops"
    if n % 1000 == 5:
        return json.dumps({"id": n, "paid": True, "cents": "ü"}).encode()
    if n == 7777:
        return b'{"loop":true}'
    return json.dumps({"id": n, "paid": n % 3 > 0, "cents": n}).encode()


def expected(n: int) -> Tuple[str, Any]:
    """Returns the destination of event n, and its output or kind of failure."""
    if n % 1000 == 3:
        return "dead", "invalid_json"
    if n % 1000 == 5:
        return "dead", "exception"
    if n == 7777:
        return "dead", "timeout"
    return ("clean", {"id": n, "total": n / 100}) if n % 3 else ("", None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    code = recipes("streams.md")["paid.js"]
    (tmp_path / "paid.js").write_text(code.replace("  if (!event.paid)", "  if (event.loop) for (;;);\n  if (!event.paid)"))
    return tmp_path


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def drive(folder: Path, variables: Dict[str, str], words: List[str], progress: Callable[[], int], done: Callable[[], bool], kills: int = KILLS) -> None:
    """Runs a bridge and kills it whenever it has made progress. The last run is ended with SIGTERM when all work is done."""
    for kill in range(kills + 1):
        before = progress()
        with open(folder / f"said-{kill}", "w+") as said:
            bridge = subprocess.Popen([sys.executable, *words], cwd=folder, env=variables, stderr=said)
            try:
                # Once the bridge has started sluicegate, it handles signals.
                until(lambda: bridge.poll() is not None or supervisors(bridge.pid))
                enough = before + COUNT // 10
                until(lambda: bridge.poll() is not None or (done() if kill == kills else progress() > enough or done()))
                said.seek(0)
                assert bridge.poll() is None, said.read()
                bridge.send_signal(signal.SIGTERM if kill == kills else signal.SIGKILL)
                assert bridge.wait() == (0 if kill == kills else -signal.SIGKILL)
            finally:
                bridge.kill()
                bridge.wait()


def check(found: Dict[str, List[Tuple[str, Any]]], sources: List[str], exact: bool = True) -> None:
    """Checks that the result of each event is at its destination: once if `exact`, otherwise at least once and always the same."""
    known = {source: expected(n) for n, source in enumerate(sources)}
    seen: Dict[str, List[Any]] = collections.defaultdict(list)
    for place, items in found.items():
        for source, item in items:
            assert known[source] == (place, json.loads(item)["kind"] if place == "dead" else json.loads(item)), (source, item)
            seen[source].append(item)
    assert set(seen) == {source for source, (place, _) in known.items() if place}
    if exact:
        assert all(len(items) == 1 for items in seen.values())
    # Dead letters of the same event may differ: each has the event's number in the run that wrote it.
    assert all(len(set(items)) == 1 for source, items in seen.items() if known[source][0] == "clean")


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(tmp_path)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    yield f"redis://127.0.0.1:{port}"
    server.kill()
    server.wait()


def test_redis(folder: Path, binary: Path, redis_server: str) -> None:
    import redis

    client = redis.from_url(redis_server)

    def up() -> bool:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False

    until(up)
    batch = client.pipeline(transaction=False)
    for n in range(COUNT):
        batch.xadd("events", {"event": event(n)})
    sources = [entry.decode() for entry in batch.execute()]
    write("streams.md", folder, "bridge_redis.py")

    def done() -> bool:
        groups = client.xinfo_groups("events")
        return bool(groups) and groups[0]["last-delivered-id"].decode() == sources[-1] and groups[0]["pending"] == 0

    progress = lambda: client.xlen("clean")  # noqa: E731
    drive(folder, environment(binary, REDIS_URL=redis_server), ["bridge_redis.py", "paid.js", "events", "clean", "dead"], progress, done)
    found = {name: [(fields[b"source"].decode(), fields[key]) for _, fields in client.xrange(name)] for name, key in (("clean", b"event"), ("dead", b"letter"))}
    check(found, sources)
    # With one consumer, the order is that of the queue.
    assert [source for source, _ in found["clean"]] == [source for n, source in enumerate(sources) if expected(n)[0] == "clean"]
    letters = "\n".join(letter.decode() for _, letter in found["dead"])
    again = subprocess.run([binary, "replay", "--all", "-"], input=letters, cwd=folder, capture_output=True, text=True)
    assert f"{len(found['dead'])} in = 0 ok" in again.stderr


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    command = ["nats-server", "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(tmp_path / "nats"), "-l", str(tmp_path / "nats.log")]
    program = Path(sys.executable).parent / "nats-server"
    server = subprocess.Popen([str(program), *command[1:]])

    def up() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return True
        except OSError:
            return False

    until(up)
    yield f"nats://127.0.0.1:{port}"
    server.kill()
    server.wait()


def test_nats(folder: Path, binary: Path, nats_server: str) -> None:
    import nats

    def run(work: Callable[[Any, Any], Any]) -> Any:
        async def connected() -> Any:
            connection = await nats.connect(nats_server)
            try:
                return await work(connection, connection.jetstream())
            finally:
                await connection.close()

        return asyncio.run(connected())

    async def fill(_: Any, js: Any) -> None:
        for stream, subject in (("EVENTS", "events"), ("CLEAN", "clean"), ("DEAD", "dead")):
            await js.add_stream(name=stream, subjects=[subject])
        for start in range(0, COUNT, 500):
            await asyncio.gather(*(js.publish("events", event(n)) for n in range(start, start + 500)))

    async def order(_: Any, js: Any) -> Dict[str, int]:
        return await read(js, "EVENTS", lambda message: (message.metadata.sequence.stream, message.data))

    async def read(js: Any, stream: str, of: Callable[[Any], Any]) -> List[Any]:
        total = (await js.stream_info(stream)).state.messages
        consumer = await js.pull_subscribe("", stream=stream, durable=f"test-{stream}", config=nats.js.api.ConsumerConfig(ack_policy="none"))
        found: List[Any] = []
        while len(found) < total:
            for message in await consumer.fetch(500, timeout=5):
                found.append(of(message))
        return found

    run(fill)
    # The events were published concurrently, so they are not in the order of their numbers.
    stored = run(order)
    numbers = {event(n): n for n in range(COUNT)}
    sequences: Dict[int, str] = {}
    odd = iter(n for n in range(COUNT) if n % 1000 == 3)
    for at, data in stored:
        sequences[next(odd) if data == b"oops" else numbers[data]] = f"EVENTS-{at}"
    sources = [sequences[n] for n in range(COUNT)]

    async def count(_: Any, js: Any) -> int:
        return (await js.stream_info("CLEAN")).state.messages

    async def settled(_: Any, js: Any) -> bool:
        try:
            info = await js.consumer_info("EVENTS", "sluicegate")
        except nats.js.errors.NotFoundError:
            return False
        return info.num_pending == 0 and info.num_ack_pending == 0

    write("streams.md", folder, "bridge_nats.py")
    source = recipes("streams.md")["bridge_nats.py"]
    # The messages of a killed bridge are delivered again after this time.
    quick = source.replace('durable="sluicegate", stream=stream', 'durable="sluicegate", stream=stream, config=nats.js.api.ConsumerConfig(ack_wait=3)')
    assert quick != source
    (folder / "bridge_nats.py").write_text(quick)
    words = ["bridge_nats.py", "paid.js", "EVENTS", "clean", "dead"]
    drive(folder, environment(binary, NATS_URL=nats_server), words, lambda: run(count), lambda: run(settled))
    of = lambda message: (message.headers["Source"], message.data)  # noqa: E731

    async def collect(_: Any, js: Any) -> Dict[str, List[Tuple[str, bytes]]]:
        return {"clean": await read(js, "CLEAN", of), "dead": await read(js, "DEAD", of)}

    check(run(collect), sources)


@pytest.mark.parametrize("exact", [False, True])
def test_kafka(folder: Path, binary: Path, exact: bool) -> None:
    from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

    # librdkafka's mock broker runs as long as this client exists.
    broker = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "none", "linger.ms": 5})
    address = ",".join(str(found).split("/")[0] for found in broker.list_topics(timeout=30).brokers.values())
    settings = {"bootstrap.servers": address}
    sources = [""] * COUNT

    def stored(n: int) -> Callable[[Any, Any], None]:
        def set_source(error: Any, message: Any) -> None:
            assert error is None
            sources[n] = f"{message.topic()}/{message.partition()}/{message.offset()}"

        return set_source

    for n in range(COUNT):
        broker.produce("events", event(n), key=str(n), on_delivery=stored(n))
        broker.poll(0)
    broker.flush()
    reader = Consumer({**settings, "group.id": "test", "enable.auto.commit": False})
    committed = Consumer({**settings, "group.id": "sluicegate-events", "enable.auto.commit": False})
    ends: Dict[int, int] = {}
    for source in sources:
        _, partition, offset = source.split("/")
        ends[int(partition)] = max(ends.get(int(partition), 0), int(offset) + 1)

    def reached() -> Dict[int, int]:
        places = committed.committed([TopicPartition("events", partition) for partition in ends], timeout=30)
        return {place.partition: max(place.offset, 0) for place in places}

    source = recipes("streams.md")["bridge_kafka.py"]
    # The broker detects a killed bridge after this time.
    quick = source.replace('"enable.auto.commit": False', '"enable.auto.commit": False, "session.timeout.ms": 6000, "heartbeat.interval.ms": 1000')
    assert quick != source
    (folder / "bridge_kafka.py").write_text(quick)
    words = ["bridge_kafka.py", "paid.js", "events", "clean", "dead"]

    def written() -> int:
        try:
            return sum(reader.get_watermark_offsets(TopicPartition("clean", n), timeout=30)[1] for n in range(4))
        except KafkaException:
            # The topic does not exist yet.
            return 0

    clean = sum(expected(n)[0] == "clean" for n in range(COUNT))
    if exact:
        # The mock broker does not keep the offsets of transactions, so the bridge runs once and is not killed.
        drive(folder, environment(binary, KAFKA=address, TRANSACTIONAL_ID="t"), words, written, lambda: written() >= clean, kills=0)
    else:
        drive(folder, environment(binary, KAFKA=address), words, lambda: sum(reached().values()), lambda: reached() == ends, kills=2)
    found: Dict[str, List[Tuple[str, bytes]]] = {"clean": [], "dead": []}
    for topic, items in found.items():
        partitions = [TopicPartition(topic, partition, 0) for partition in reader.list_topics(topic, timeout=30).topics[topic].partitions]
        ends_of = {place.partition: reader.get_watermark_offsets(place)[1] for place in partitions}
        reader.assign(partitions)
        # The markers of transactions have offsets, too.
        while any(place.offset < ends_of[place.partition] for place in reader.position(partitions)):
            for message in reader.consume(1000, timeout=1):
                assert message.error() is None, message.error()
                items.append((dict(message.headers())["source"].decode(), message.value()))
    check(found, sources, exact)
    reader.close()
    committed.close()
