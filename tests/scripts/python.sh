#!/usr/bin/env bash
# Tests the Python package against a built binary: tests/scripts/python.sh BINARY. Its tools come from PyPI, into a cache.
set -euo pipefail
binary=$(realpath "$1")
cd "$(dirname "$0")/../../python"
venv=${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate/python
"$venv/bin/pytest" --version > /dev/null 2>&1 && "$venv/bin/mypy" --version > /dev/null 2>&1 || {
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet 'pytest>=8' 'mypy>=1.11' numpy pyarrow
}
"$venv/bin/mypy"
SLUICEGATE_BIN=$binary "$venv/bin/python" -m pytest -q -p no:cacheprovider
