#!/usr/bin/env bash
# Checks the reports of `sluicegate test` with real parsers of their formats: JUnit XML with Python's junitparser, TAP
# with npm's tap-parser, lcov with genhtml. The parsers are installed in a folder that is kept.
#
#   tests/scripts/reports.sh [path to sluicegate]
set -euo pipefail
binary=$(realpath "${1:-target/quick/sluicegate}")
tools="${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate/report-parsers"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$tools"
[ -d "$tools/junitparser" ] || PIP_ROOT_USER_ACTION=ignore python3 -m pip install -q --target "$tools" 'junitparser>=4,<6'
[ -d "$tools/node_modules/tap-parser" ] || npm install --silent --no-save --prefix "$tools" tap-parser@18

cd "$work"
mkdir src
cat > src/t.js <<'JS'
export function transformEvent(event) {
  if (event.n > 1) throw new Error('much & <more>');
  return event;
}
JS
cat > src/t.test.js <<'JS'
test('passes # "quoted" <&>', () => { expect(transform({ n: 1 })).toEmit({ n: 1 }); });
test('fails ü', () => { log('a line'); expect({ a: 'x\u0001]]>' }).toEqual({ a: 'y\n' }); });
test.skip('waits', () => {});
JS
echo 'not JavaScript' > src/u.test.js

"$binary" test --reporter junit > junit.xml 2> /dev/null && exit 1
PYTHONPATH="$tools" python3 - <<'PY'
from junitparser import JUnitXml
xml = JUnitXml.fromfile('junit.xml')
suites = list(xml)
assert (xml.tests, xml.failures, xml.errors) == (4, 1, 1), (xml.tests, xml.failures, xml.errors)
cases = {case.name: case for suite in suites for case in suite}
assert cases['passes # "quoted" <&>'].is_passed and cases['waits'].is_skipped
failure, = cases['fails ü'].result
assert failure.message == 'the values differ' and 'a line' in failure.text, (failure.message, failure.text)
print('junitparser: ok')
PY

"$binary" test --reporter tap > results.tap 2> /dev/null && exit 1
TOOLS="$tools" node - <<'JS'
const { Parser } = require(`${process.env.TOOLS}/node_modules/tap-parser`);
const { readFileSync } = require('node:fs');
const parser = new Parser({ strict: true }, (results) => {
  const { count, pass, fail, skip, failures } = results;
  if (count !== 4 || pass !== 2 || fail !== 2 || skip !== 1) throw new Error(JSON.stringify(results));
  if (failures.some((failure) => failure.tapError)) throw new Error(JSON.stringify(failures));
  if (failures.every((failure) => failure.diag?.error?.message !== 'the values differ')) throw new Error(JSON.stringify(failures));
  console.log('tap-parser: ok');
});
parser.end(readFileSync('results.tap', 'utf8'));
JS

rm src/u.test.js
"$binary" test --coverage-lcov lcov.info > /dev/null || true
genhtml --quiet --output-directory html lcov.info > genhtml.txt 2>&1 || { cat genhtml.txt; exit 1; }
grep -qi 'error\|warning' genhtml.txt && { cat genhtml.txt; exit 1; }
grep -q "much" html/src/t.js.gcov.html
echo 'genhtml: ok'
