#!/usr/bin/env bash
# The playground in a real Chromium: run.sh BINARY [PART]. Installs the driver and axe beside this file if they aren't there.
# With SCREENSHOTS=FOLDER it leaves a picture of each width.
set -euo pipefail
cd "$(dirname "$0")"
if ! cmp -s package-lock.json node_modules/.installed; then
  npm ci --no-audit --no-fund --ignore-scripts --loglevel=error
  cp package-lock.json node_modules/.installed
fi
exec node playground.mjs "$@"
