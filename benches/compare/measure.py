"""Runs a command and says what it cost, all its processes together."""

import json
import os
import time
from dataclasses import dataclass
from statistics import median


@dataclass
class Cost:
    """Of one run: seconds on the clock, seconds of CPU, the largest process's memory."""

    wall: float
    cpu: float
    rss: int
    code: int


def run(command, env, stdin, stdout):
    """Starts `command` on open files, and waits. wait4 counts a process's reaped children with it, and
    every program here reaps its own."""
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
    """`run` with a file as standard input, the output thrown away unless a file is named."""
    stdin = os.open(path, os.O_RDONLY)
    stdout = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        return run(command, env, stdin, stdout)
    finally:
        os.close(stdin)
        os.close(stdout)


def on_line(command, env, line):
    """`run` with one line through a pipe, as `echo` would feed it."""
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
    """Whether two files hold the same JSON texts in the same order: None, or where they part. Numbers
    are compared as doubles, since all but sluicegate round them to that."""
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
    """The median of the ratios within each round, with the least and the largest of them: what else the
    machine does in a round hits both."""
    each = [getattr(c, field) / getattr(r, field) for c, r in zip(costs, reference)]
    return median(each), min(each), max(each)
