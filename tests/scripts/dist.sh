#!/usr/bin/env bash
# Checks that the packages of scripts/dist work from an empty folder, and that two builds of them are the same:
# tests/scripts/dist.sh BINARY.
set -euo pipefail
binary=$(realpath "$1")
cd "$(dirname "$0")/../.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
scripts/dist --bin "$binary" --out "$work/dist" > /dev/null
scripts/dist --bin "$binary" --out "$work/again" --only archive,wheel,npm,deb,sbom > /dev/null
cmp "$work/dist/SHA256SUMS" "$work/again/SHA256SUMS"
rm -r "$work/again"

mkdir "$work/project"
cd "$work/project"
cat > paid.js <<'JS'
export function transformEvent(event) { return event.paid ? event : null; }
JS
cat > paid.test.js <<'JS'
test('only paid events go on', () => {
  expect(transform({ paid: true })).toEmit({ paid: true });
  expect(transform({ paid: false })).toBeDropped();
});
JS
expected='{"paid":true}'

echo 'wheel'
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-index "$work"/dist/*.whl
[[ $(echo "$expected" | "$work/venv/bin/sluicegate" run paid.js -q) = "$expected" ]]
"$work/venv/bin/python" - <<'PY'
import sluicegate
with sluicegate.Transformation("paid.js") as transformation:
    assert [verdict.verdict for verdict in transformation([{"paid": True}, {}])] == ["ok", "dropped"]
PY
# The package's own tests, against the wheel alone.
tools=${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate/python
if [[ -x $tools/bin/pytest ]]; then
  packages=$(echo "$work"/venv/lib/python3*/site-packages)
  (cd "$work" && PYTHONPATH=$packages SLUICEGATE_BIN=$work/venv/bin/sluicegate \
    "$tools/bin/python" -m pytest -q -p no:cacheprovider --import-mode=importlib "$root/python/tests")
fi

echo 'npm'
npm install --silent --no-audit --no-fund "$work"/dist/sluicegate-linux-x64-*.tgz "$work"/dist/sluicegate-[0-9]*.tgz > /dev/null
[[ $(npx sluicegate test) = *'1 passed'* ]]
grep -q 'transformEvent' node_modules/sluicegate/types.d.ts
# Types and globals for editors: the tools accept what exists and reject what doesn't.
npm install --silent --no-audit --no-fund typescript@6 eslint@10 @eslint/js@10 > /dev/null
cat > eslint.config.js <<'JS'
import js from '@eslint/js';
import sluicegate from 'sluicegate/eslint';
export default [js.configs.recommended, sluicegate];
JS
cat > tsconfig.json <<'JSON'
{ "compilerOptions": { "types": ["sluicegate/types"], "allowJs": true, "checkJs": true, "noEmit": true, "strict": false, "target": "esnext", "module": "nodenext", "lib": ["esnext"] }, "include": ["*.js"], "exclude": ["eslint.config.js"] }
JSON
npm pkg set type=module > /dev/null
npx eslint .
npx tsc
echo 'export function transformEvent(event) { log(event.paid); return document.title; }' > page.js
for tool in 'eslint .' tsc; do
  # shellcheck disable=SC2086 # two words
  if npx $tool > out.txt; then echo "$tool finds no document where there is none" >&2 && exit 1; fi
  grep -q document out.txt
done
rm page.js
# A signal reaches the program, and the shim exits with the program's status.
mkfifo pipe
npx --no-install sluicegate run paid.js pipe --line-buffered > out.jsonl 2> err.txt &
shim=$!
exec 3> pipe
echo "$expected" >&3
until grep -q paid out.jsonl; do sleep 0.05; done
pkill -TERM -f 'node_modules/.bin/sluicegate run' || kill -TERM "$shim"
code=0
wait "$shim" || code=$?
exec 3>&-
[[ $code -eq 143 ]]

echo 'archive and deb'
mkdir "$work/deb" "$work/tar"
(cd "$work/deb" && ar x "$work"/dist/*.deb && tar xzf data.tar.gz)
tar xzf "$work"/dist/*.tar.gz -C "$work/tar"
for root in "$work/deb/usr" "$work"/tar/*; do
  [[ $(echo "$expected" | "$root/bin/sluicegate" run paid.js -q) = "$expected" ]]
  [[ $(gzip -dc "$root/share/man/man1/sluicegate.1.gz") = *sluicegate* ]]
  grep -q -- '--heap-limit' "$root/share/bash-completion/completions/sluicegate"
done
(cd "$work/dist" && sha256sum --quiet -c SHA256SUMS)
python3 -c "import json, sys; assert len(json.load(open(sys.argv[1]))['components']) > 100" "$work"/dist/*.cdx.json
echo 'packages: 4 passed, 0 failed'
