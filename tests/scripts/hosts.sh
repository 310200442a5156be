#!/usr/bin/env bash
# The pages spark.md, sql.md and streams.md against the real engines. What is needed is fetched into a folder of its own: packages from PyPI, with nats-server
# among them. Java, Postgres and Redis come from the distribution, if they are not there.
#
#   tests/scripts/hosts.sh BINARY [spark|sql|streams …]
set -euo pipefail
binary=$(realpath "$1")
shift
cd "$(dirname "$0")/../.."
parts=("$@")
((${#parts[@]})) || parts=(sql streams spark)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate/hosts
requirements=tests/hosts/requirements.txt

missing=()
need() { command -v "$1" > /dev/null || missing+=("$2"); }
for part in "${parts[@]}"; do
  case $part in
    spark) need java openjdk-17-jre-headless ;;
    sql) compgen -G '/usr/lib/postgresql/*/bin/initdb' > /dev/null || missing+=(postgresql) ;;
    streams) need redis-server redis-server ;;
    *) echo "hosts.sh: there is no part $part" >&2 && exit 2 ;;
  esac
done
if ((${#missing[@]})); then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "hosts.sh: install these first: ${missing[*]}" >&2
    exit 2
  fi
  # RUNLEVEL: no service is started; the tests start their own.
  apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" > /dev/null
fi
if ! cmp -s "$requirements" "$folder/requirements.txt"; then
  rm -rf "$folder"
  python3 -m venv "$folder"
  "$folder/bin/pip" install --quiet -r "$requirements"
  cp "$requirements" "$folder/requirements.txt"
fi

# The recipes say `sluicegate`.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
install -m 755 "$binary" "$work/sluicegate"
strip "$work/sluicegate" 2> /dev/null || true
export SLUICEGATE_BIN=$work/sluicegate PYTHONPATH=$PWD/python PYSPARK_PYTHON=$folder/bin/python SPARK_LOCAL_IP=127.0.0.1
unset SPARK_HOME
(cd python && "$folder/bin/mypy")
tests=()
for part in "${parts[@]}"; do tests+=("tests/hosts/test_$part.py"); done
"$folder/bin/python" -m pytest -q -p no:cacheprovider -W ignore --durations=5 "${tests[@]}"
