"""Servers that are measured: their CPU time, their memory, and what a driver says of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
EVENTS = 200
TICKS = os.sysconf('SC_CLK_TCK')


class Server:
    """A server process, and the CPU time of it and of those that it started."""

    def __init__(self, name, pid, port):
        self.name, self.pid, self.port = name, pid, port

    def processes(self):
        todo = [self.pid]
        while todo:
            pid = todo.pop()
            yield pid
            try:
                for task in Path(f'/proc/{pid}/task').iterdir():
                    todo += [int(child) for child in (task / 'children').read_text().split()]
            except (FileNotFoundError, ProcessLookupError):
                pass

    def cpu(self):
        total = 0
        for pid in self.processes():
            try:
                fields = Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
                total += sum(int(field) for field in fields[11:15])
            except (FileNotFoundError, ProcessLookupError):
                pass
        return total / TICKS

    def memory(self):
        """Proportional set size of all processes, in MiB."""
        total = 0
        for pid in self.processes():
            try:
                for line in Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines():
                    if line.startswith('Pss:'):
                        total += int(line.split()[1])
            except (FileNotFoundError, ProcessLookupError):
                pass
        return total / 1024

    def drive(self, node, workload, requests, concurrency, rate, seed):
        before = self.cpu()
        command = [node, HERE / 'drive.mjs', self.port, requests, concurrency, rate, seed, workload]
        out = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout
        figures = json.loads(out)
        if figures['bad']:
            sys.exit(f'{self.name}: {figures["bad"]} requests were not answered 200')
        figures['cpu'] = self.cpu() - before
        figures['per_cpu_second'] = requests * EVENTS / max(figures['cpu'], 1 / TICKS)
        return figures

    def end(self):
        pass


class Started(Server):
    """One that was started here, and ends here. `port` finds out where it listens."""

    def __init__(self, name, command, port):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        super().__init__(name, self.process.pid, port(self.process))

    def end(self):
        self.process.terminate()
        self.process.wait()


def listening(process):
    """The port that a sluicegate says it listens on."""
    for line in process.stderr:
        if 'http://' in line:
            return int(line.rsplit(':', 1)[1])
    sys.exit('sluicegate did not start')
