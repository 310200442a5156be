"""The measured servers: their CPU time, their memory, and the results of the driver."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
EVENTS = 200
TICKS = os.sysconf('SC_CLK_TCK')


def machine_cpu():
    """Returns the seconds for which the processors were busy, or were taken away by a hypervisor."""
    fields = Path('/proc/stat').read_text().split('\n', 1)[0].split()[1:9]
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / TICKS


class Server:
    """A server process and its descendants."""

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
        """Seconds. In nanoseconds for threads that live: a tick of the kernel is three percent of a round."""
        total = 0
        for pid in self.processes():
            try:
                for task in Path(f'/proc/{pid}/task').iterdir():
                    total += int((task / 'schedstat').read_text().split()[0]) / 1e9
                # Those of children that have ended.
                fields = Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
                total += sum(int(field) for field in fields[13:15]) / TICKS
            except (FileNotFoundError, ProcessLookupError):
                pass
        return total

    def memory(self):
        """Returns the proportional set size of all processes, in MiB."""
        total = 0
        for pid in self.processes():
            try:
                for line in Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines():
                    if line.startswith('Pss:'):
                        total += int(line.split()[1])
            except (FileNotFoundError, ProcessLookupError):
                pass
        return total / 1024

    def niceness(self):
        """Returns the set of niceness values of all processes and their threads."""
        threads = {int(task) for pid in self.processes() for task in os.listdir(f'/proc/{pid}/task')}
        return {os.getpriority(os.PRIO_PROCESS, thread) for thread in threads}

    def drive(self, node, workload, requests, concurrency, rate, seed):
        before, busy = self.cpu(), machine_cpu()
        command = [node, HERE / 'drive.mjs', self.port, requests, concurrency, rate, seed, workload]
        driver = os.times().children_user + os.times().children_system
        started = time.monotonic()
        out = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout
        seconds = time.monotonic() - started
        driver = os.times().children_user + os.times().children_system - driver
        figures = json.loads(out)
        if figures['bad']:
            sys.exit(f'{self.name}: {figures["bad"]} requests were not answered 200')
        figures['cpu'] = self.cpu() - before
        # The time of all processors that neither this server nor the driver used.
        others = machine_cpu() - busy - figures['cpu'] - driver
        figures['others'] = max(0, others) / seconds / os.cpu_count()
        figures['per_cpu_second'] = figures['sent'] * EVENTS / max(figures['cpu'], 1 / TICKS)
        return figures

    def end(self):
        pass


class Started(Server):
    """A server that this script starts and ends. `port` returns its port, given the process."""

    def __init__(self, name, command, port):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        super().__init__(name, self.process.pid, port(self.process))

    def end(self):
        self.process.terminate()
        self.process.wait()


def listening(process):
    """Returns the port on which a sluicegate server listens, from its log."""
    for line in process.stderr:
        if 'http://' in line:
            return int(line.rsplit(':', 1)[1])
    sys.exit('sluicegate did not start')
