#!/usr/bin/env bash
# Tests the pages spark.md, sql.md, streams.md and pipelines.md against the real engines, and deploy/ against
# Kubernetes' schemas. Packages from PyPI, among them nats-server, are installed in a separate folder. Java, Postgres,
# Redis and GNU parallel are installed from the distribution if they are missing. `spark-local` is the part of `spark`
# that needs no cluster and less than a minute.
#
#   tests/scripts/hosts.sh BINARY [deploy|pipelines|sql|streams|spark|spark-local …]
set -euo pipefail
binary=$(realpath "$1")
shift
cd "$(dirname "$0")/../.."
parts=("$@")
((${#parts[@]})) || parts=(deploy pipelines sql streams spark)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate/hosts
requirements=tests/hosts/requirements.txt

missing=()
need() { command -v "$1" > /dev/null || missing+=("$2"); }
for part in "${parts[@]}"; do
  case $part in
    spark | spark-local) need java openjdk-17-jre-headless ;;
    sql) compgen -G '/usr/lib/postgresql/*/bin/initdb' > /dev/null || missing+=(postgresql) ;;
    pipelines) need parallel parallel ;;
    deploy) ;;
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
if ! cmp -s "$requirements" "$folder/requirements.txt" || ! "$folder/bin/mypy" --version > /dev/null 2>&1; then
  rm -rf "$folder"
  python3 -m venv "$folder"
  "$folder/bin/pip" install --quiet -r "$requirements"
  cp "$requirements" "$folder/requirements.txt"
fi

# The recipes call the program `sluicegate`.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
install -m 755 "$binary" "$work/sluicegate"
strip "$work/sluicegate" 2> /dev/null || true
export SLUICEGATE_BIN=$work/sluicegate PYTHONPATH=$PWD/python PYSPARK_PYTHON=$folder/bin/python SPARK_LOCAL_IP=127.0.0.1
unset SPARK_HOME
(cd python && "$folder/bin/mypy")
tests=()
for part in "${parts[@]}"; do
  if [ "$part" = spark-local ]; then
    tests+=(tests/hosts/test_spark.py::test_{each_row_has_its_answer_and_dead_letters_run_again,answers_that_fit_no_row_are_an_error,what_is_wrong_is_told_before_any_task_runs})
  else
    tests+=("tests/hosts/test_$part.py")
  fi
done
"$folder/bin/python" -m pytest -q -p no:cacheprovider -W ignore --durations=5 "${tests[@]}"
