#!/usr/bin/env bash
# Validates the output of `sluicegate lineage --openlineage` against the JSON schemas that OpenLineage publishes (a copy
# of them is in tests/fixtures/openlineage), by Python's jsonschema, which also checks formats. It is installed in a
# folder that is kept.
#
#   tests/scripts/openlineage.sh [path to sluicegate]
set -euo pipefail
cd "$(dirname "$0")/../.."
binary=$(realpath "${1:-target/quick/sluicegate}")
tools="${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate/jsonschema"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ -d "$tools/jsonschema" ] \
  || PIP_ROOT_USER_ACTION=ignore python3 -m pip install -q --target "$tools" 'jsonschema[format-nongpl]>=4.25,<5'

cp examples/warehouse-actions/transform.js "$work/rows.js"
head -n 50 examples/warehouse-actions/events.jsonl > "$work/rows.jsonl"
cat > "$work/plain.js" <<'JS'
export async function transformEvent(event, metadata) {
  if (event.type === 'page') return null;
  const { body } = await fetchV2('https://api.example.com/users', { headers: { key: getCredential('KEY') } });
  return { ...event, at: new Date().toISOString(), id: Math.random(), source: metadata(event).sourceId, score: body?.score, kind: 'x' };
}
JS
"$binary" lineage "$work/rows.js" "$work/rows.jsonl" --openlineage > "$work/rows.json"
"$binary" lineage "$work/plain.js" --openlineage > "$work/plain.json"

PYTHONPATH="$tools" python3 - tests/fixtures/openlineage "$work/rows.json" "$work/plain.json" <<'PY'
import copy, json, sys
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

schemas, *files = sys.argv[1:]
load = lambda path: json.load(open(path, encoding='utf-8'))
known = [load(f'{schemas}/{name}.json') for name in ('OpenLineage', 'ColumnLineageDatasetFacet')]
registry = Registry().with_resources([(one['$id'], Resource.from_contents(one)) for one in known])

def errors(event):
    """Each part by the schema that it names itself, as a reader of OpenLineage does."""
    facet = event['outputs'][0]['facets']['columnLineage']
    parts = [(event, event['schemaURL']), (facet, facet['_schemaURL'])]
    return [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
        for part, url in parts
        for error in Draft202012Validator(
            {'$ref': url}, registry=registry, format_checker=Draft202012Validator.FORMAT_CHECKER,
        ).iter_errors(part)
    ]

for path in files:
    event = load(path)
    assert not errors(event), errors(event)
    fields = event['outputs'][0]['facets']['columnLineage']['fields']
    inputs = [one for field in fields.values() for one in field['inputFields']]
    assert inputs and all(one['transformations'][0]['type'] in ('DIRECT', 'INDIRECT') for one in inputs)

# Broken events must fail the check.
def broken(change):
    other = copy.deepcopy(event)
    change(other)
    return errors(other)

facet = lambda event: event['outputs'][0]['facets']['columnLineage']
assert broken(lambda event: event.pop('producer'))
assert broken(lambda event: event.update(producer='not a URI'))
assert broken(lambda event: event['run'].update(runId='1'))
assert broken(lambda event: event.update(eventTime='yesterday'))
assert broken(lambda event: facet(event).pop('fields'))
assert broken(lambda event: next(iter(facet(event)['fields'].values()))['inputFields'][0].pop('field'))
print('openlineage: ok')
PY
