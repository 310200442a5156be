"""Runs a command and measures the time and memory of all its processes."""

import json
import os
import time
from dataclasses import dataclass
from statistics import median


@dataclass
class Cost:
    """The cost of one run: wall time and CPU time in seconds, and the memory of its largest process in bytes."""

    wall: float
    cpu: float
    rss: int
    code: int


def run(command, env, stdin, stdout):
    """Runs `command` with open files as its input and output. wait4 includes the child processes that a
    process has reaped, and every program here reaps its own."""
    command = [str(word) for word in command]
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        files = [(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stdout, 1), (os.POSIX_SPAWN_DUP2, null, 2)]
        started = time.perf_counter()
        pid = os.posix_spawn(command[0], command, {**os.environ, **env}, file_actions=files)
        _, status, usage = os.wait4(pid, 0)
        wall = time.perf_counter() - started
    finally:
        os.close(null)
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(wall, cpu, usage.ru_maxrss * 1024, os.waitstatus_to_exitcode(status))


def on_file(command, env, path, output=os.devnull):
    """Calls `run` with a file as standard input. Discards the output unless `output` names a file."""
    stdin = os.open(path, os.O_RDONLY)
    stdout = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        return run(command, env, stdin, stdout)
    finally:
        os.close(stdin)
        os.close(stdout)


def on_line(command, env, line):
    """Calls `run` with one line through a pipe, as with `echo`."""
    reader, writer = os.pipe()
    stdout = os.open(os.devnull, os.O_WRONLY)
    try:
        os.write(writer, line)
        os.close(writer)
        return run(command, env, reader, stdout)
    finally:
        os.close(reader)
        os.close(stdout)


def same_json(one, other):
    """Compares two files of JSON lines. Returns None if they are equal, or a message with the first
    difference. Compares numbers as doubles, since all programs except sluicegate round them to doubles."""
    with open(one, 'rb') as a, open(other, 'rb') as b:
        number = 0
        while True:
            number += 1
            left, right = a.readline(), b.readline()
            if left == right:
                if not left:
                    return None
                continue
            if not left or not right:
                return f'one ends at line {number}'
            if json.loads(left, parse_int=float) != json.loads(right, parse_int=float):
                return f'line {number} differs'


def ratios(costs, reference, field):
    """Returns the median, the minimum and the maximum of the ratios within each round. Other work on the
    machine during a round affects both programs."""
    each = [getattr(c, field) / getattr(r, field) for c, r in zip(costs, reference)]
    return median(each), min(each), max(each)
