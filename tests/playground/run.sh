#!/usr/bin/env bash
# The playground in a real Chromium: run.sh BINARY. Installs the driver beside this file if it isn't there.
set -euo pipefail
cd "$(dirname "$0")"
pinned=$(sed -n 's/.*"playwright-core": "\(.*\)".*/\1/p' package.json)
installed=$(node -p 'require("./node_modules/playwright-core/package.json").version' 2>/dev/null || true)
if [ "$installed" != "$pinned" ]; then
  npm ci --no-audit --no-fund --ignore-scripts --loglevel=error
fi
exec node playground.mjs "$1"
