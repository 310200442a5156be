#!/usr/bin/env bash
# Tests the playground in a real Chromium: run.sh BINARY [PART]. Installs the driver and axe next to this file if they
# are missing. With SCREENSHOTS=FOLDER it saves a screenshot of each width.
set -euo pipefail
cd "$(dirname "$0")"
if ! cmp -s package-lock.json node_modules/.installed; then
  npm ci --no-audit --no-fund --ignore-scripts --loglevel=error
  cp package-lock.json node_modules/.installed
fi
exec node playground.mjs "$@"
