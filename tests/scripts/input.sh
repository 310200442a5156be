#!/usr/bin/env bash
# Runs every command of docs/input.md with the real programs: DuckDB from PyPI, its own Postgres server, and an API with
# two pages of results. Downloads are kept in a folder.
#
#   tests/scripts/input.sh [path to sluicegate]
set -euo pipefail
binary=$(realpath "${1:-target/quick/sluicegate}")
page=$(realpath docs/input.md)
tools="${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate/input-tools"
[ -x "$tools/bin/duckdb" ] || PIP_ROOT_USER_ACTION=ignore python3 -m pip install -q --target "$tools" 'duckdb-cli>=1.4,<2'
for command in jq sqlite3 psql curl; do command -v "$command" > /dev/null || { echo "$command is missing" >&2; exit 2; }; done
server=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)

work=$(mktemp -d)
chmod 755 "$work"
as_postgres() { if [ "$(id -u)" = 0 ]; then setpriv --reuid postgres --regid postgres --clear-groups "$@"; else "$@"; fi; }
end() {
  [ -z "${api:-}" ] || kill "$api" 2> /dev/null || true
  as_postgres "$server/pg_ctl" -D "$work/pg/data" -m immediate stop > /dev/null 2>&1 || true
  rm -rf "$work"
}
trap end EXIT

mkdir "$work/pg" "$work/bin" "$work/run"
[ "$(id -u)" != 0 ] || chown postgres "$work/pg"
as_postgres "$server/initdb" -D "$work/pg/data" -A trust -U postgres > /dev/null
as_postgres "$server/pg_ctl" -D "$work/pg/data" -w -l "$work/pg/log" -o "-k $work/pg -c listen_addresses=''" start > /dev/null
export PGHOST="$work/pg" PGUSER=postgres

# Two pages of two rows, then an empty one.
cat > "$work/api.py" <<'PY'
import http.server, json, sys, urllib.parse
class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        page = int(urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)['page'][0])
        body = json.dumps({'data': [{'id': 2 * page}, {'id': 2 * page + 1}] if page < 3 else []}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
server = http.server.HTTPServer(('127.0.0.1', 0), Pages)
print(server.server_port, flush=True)
server.serve_forever()
PY
mkfifo "$work/port"
python3 "$work/api.py" > "$work/port" &
api=$!
read -r port < "$work/port"
export API="http://127.0.0.1:$port/rows"

ln -s "$binary" "$work/bin/sluicegate"
export PATH="$work/bin:$tools/bin:$PATH" PYTHONPATH="$tools"
cd "$work/run"
awk '/^```js$/ { on = 1; next } /^```$/ { on = 0 } on' "$page" > count.js
# Each block runs separately, and has this number of output events.
awk -v dir="$work/run" '/^```sh$/ { n++; on = 1; next } /^```$/ { on = 0 } on { print > (dir "/block" n ".sh") }' "$page"
expected=(2 2 2 2 1 1 2 4 2)
for n in $(seq "${#expected[@]}"); do
  out=$(bash -euo pipefail "block$n.sh" 2> "err$n") || true
  rows=$(printf '%s\n' "$out" | grep -c '"type":"track","event":"Row"' || true)
  if [ "$rows" != "${expected[$((n - 1))]}" ]; then
    echo "docs/input.md, block $n: $rows rows, not ${expected[$((n - 1))]}" >&2
    cat "block$n.sh" "err$n" >&2
    echo "$out" >&2
    exit 1
  fi
done
[ ! -e "block$((${#expected[@]} + 1)).sh" ] || { echo "docs/input.md has more blocks than this script expects" >&2; exit 1; }
echo "docs/input.md: ${#expected[@]} commands work"
