"""The programs that sluicegate is compared with: how to install and call them.

The clients of package registries install everything into one cache folder outside the repository. A program
that cannot be installed is left out, and the report gives the reason.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent
JS_LIB = REPO / 'js' / 'lib'

# The workloads that jq, jaq and vrl can express. Their programs are in programs/.
SAYABLE = ['small', 'wide', 'cjk', 'filter']


class Unavailable(Exception):
    """Raised with the reason why a program must be left out."""


class Program:
    """A program: its name, its version, and its command line for a workload (None if it can't run the workload)."""

    def __init__(self, name, version, command, env=None, start=None):
        self.name = name
        self.version = version
        self.command = command
        self.env = env or {}
        self.start = start


class Installer:
    """Finds or installs programs. `left_out` lists the programs that are not available, with the reasons."""

    def __init__(self, cache, timeout):
        self.cache = cache
        self.timeout = timeout
        self.left_out = []

    def attempt(self, name, install):
        """Returns the programs that `install` returns. If it fails, records the reason and returns an empty list."""
        try:
            return install()
        except Unavailable as error:
            self.left_out.append((name, str(error)))
        except (OSError, subprocess.SubprocessError) as error:
            self.left_out.append((name, f'{type(error).__name__}: {error}'))
        return []

    def client(self, command, env=None, cwd=None):
        """Runs a registry's client. Appends its output to a log in the cache folder."""
        if shutil.which(command[0], path=(env or os.environ).get('PATH')) is None:
            raise Unavailable(f'there is no {command[0]} here')
        with open(self.cache / 'install.log', 'ab') as log:
            log.write(f'$ {" ".join(map(str, command))}\n'.encode())
            log.flush()
            done = subprocess.run(
                command, env=env, cwd=cwd, stdout=log, stderr=log, stdin=subprocess.DEVNULL, timeout=self.timeout
            )
        if done.returncode != 0:
            raise Unavailable(f'`{" ".join(map(str, command[:3]))} …` failed, see {self.cache / "install.log"}')

    # --- Node ----------------------------------------------------------------------------------

    def node_here(self):
        node = shutil.which('node')
        if node is None:
            raise Unavailable('there is no node on this machine')
        return [self.loop('node-loop (this machine)', node)]

    def node_newest(self):
        return [self.loop('node-loop (newest)', self.newest_node())]

    def loop(self, name, node):
        def command(transformation, _workload):
            return [node, HERE / 'node-loop.mjs', transformation, JS_LIB]

        return Program(name, f'Node {version([node, "--version"])}', command, start=command)

    def newest_node(self):
        """Installs the newest Node from the npm registry: the package `node`, which contains a binary."""
        folder = self.npm_folder()
        node = folder / 'node_modules' / 'node' / 'bin' / 'node'
        if not node.exists():
            self.client(['npm', 'install', 'node@latest'], cwd=folder)
        if not node.exists():
            raise Unavailable('the npm package `node` brought no binary for this machine')
        return node

    def npm_folder(self):
        folder = self.cache / 'npm'
        folder.mkdir(parents=True, exist_ok=True)
        manifest = folder / 'package.json'
        if not manifest.exists():
            manifest.write_text('{"name": "compare", "private": true}\n')
        return folder

    def isolated_vm(self):
        node = self.newest_node()
        package = self.npm_folder() / 'node_modules' / 'isolated-vm'
        env = {**os.environ, 'PATH': f'{node.parent}:{os.environ["PATH"]}'}
        # If isolated-vm must be compiled, it needs the headers of the Node that will run it.
        headers = next(node.parent.parent.glob('node_modules/node-*/include'), None)
        if headers:
            env['npm_config_nodedir'] = str(headers.parent)
        if not package.exists():
            self.client(['npm', 'install', 'isolated-vm@latest'], env=env, cwd=self.npm_folder())
        release = json.loads((package / 'package.json').read_text())['version']

        def host(way):
            def command(transformation, _workload):
                return [node, HERE / 'isolated-vm.mjs', way, package, transformation, JS_LIB]

            return Program(f'isolated-vm ({way})', f'isolated-vm {release}, Node {version([node, "--version"])}', command)

        return [host('copy'), host('text')]

    # --- jq and the like -----------------------------------------------------------------------

    def jq(self):
        if shutil.which('jq') is None:
            self.client(['apt-get', 'install', '-y', 'jq'])
        jq = shutil.which('jq')
        if jq is None:
            raise Unavailable('apt installed no jq')
        return [filter_program('jq', jq, [], 'jq')]

    def jaq(self):
        return [filter_program('jaq', self.cargo('jaq'), [], 'jq')]

    def vrl(self):
        vrl = self.cargo('vrl')

        def command(_transformation, workload):
            if workload not in SAYABLE:
                return None
            return [vrl, '--print-object', '--program', HERE / 'programs' / f'{workload}.vrl']

        return [Program('vrl', self.installed('vrl'), command)]

    def installed(self, crate):
        """Returns the version of an installed crate, for programs that do not print it."""
        crates = (self.cache / 'cargo' / '.crates.toml').read_text()
        return next(line.split('(')[0].strip(' "') for line in crates.splitlines() if line.startswith(f'"{crate} '))

    def cargo(self, crate):
        binary = self.cache / 'cargo' / 'bin' / crate
        if not binary.exists():
            env = {**os.environ, 'CARGO_TARGET_DIR': str(self.cache / 'cargo-target')}
            self.client(['cargo', 'install', '--locked', crate, '--root', self.cache / 'cargo'], env=env)
        return binary


def filter_program(name, binary, flags, extension):
    """A program with jq's command line: jq or jaq."""

    def command(_transformation, workload):
        if workload not in SAYABLE:
            return None
        return [binary, *flags, '-c', '-f', HERE / 'programs' / f'{workload}.{extension}']

    return Program(name, version([binary, '--version']), command)


def sluicegate(binary):
    """sluicegate with one worker, and with the default number of workers."""

    def with_workers(name, flags):
        def command(transformation, _workload):
            return [binary, 'run', '--quiet', '--errors', '/dev/null', *flags, transformation]

        return Program(name, version([binary, '--version']), command, start=command)

    return [with_workers('sluicegate -j 1', ['-j', '1']), with_workers('sluicegate', [])]


def version(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    return (done.stdout or done.stderr).strip().splitlines()[0]
