// Applies the edits of a random program to an event, see print_plan/tests.rs.
const held = [];

const at = (event, path) => {
  let object = event;
  for (const name of path) {
    const next = object[name];
    if (typeof next !== 'object' || next === null) return object;
    object = next;
  }
  return object;
};

class Shape {
  constructor() {
    this.kind = 'something of a class, ' + held.length;
  }
}

const joined = (object, one, other) => object[one] + ' and after it comes ' + object[other];

const EDITS = [
  (o, { key, other }) => (o[key] = joined(o, key, other)),
  (o, { key, other }) => (o[key] = joined(o, key, other)),
  (o, { key, other }) => (o[key] = joined(o, key, other).slice(3, 40)),
  (o, { key, other }) => (o[key] = joined(o, key, other).toUpperCase()),
  (o, { key }) => (o[key] = 'always the same text'),
  (o, { key }) => delete o[key],
  (o, { key }) => delete o[key],
  (o, { key }) => delete o[key],
  (o, { key, other }) => (o[key] = { made: joined(o, key, other), n: 1, [other]: { deep: joined(o, other, key) } }),
  (o, { key, other }) => (o[key] = [joined(o, key, other), { x: joined(o, key, other) }]),
  (o, { key }) => (o[key] = undefined),
  (o, { key }) => (o[key] = () => 1),
  (o, { key }) => (o[key] = 12345678901234567890n),
  (o, { key }) => (o[key] = new Date(1e12)),
  (o, { key }) => (o[key] = new Shape()),
  (o, { key, other }) => (o[key] = Object.assign(new Shape(), { [other]: joined(o, key, other) })),
  (o, { key, other }) => (o[key] = Object(joined(o, key, other))),
  (o, { key }) => (o[key] = o),
  (o, { key, other }) => (o[key] = o[other]),
  (o) => Object.freeze(o),
  (o) => Object.seal(o),
  (o, { key, other }) => (o[7] = joined(o, key, other)),
  (o, { key, other }) => (o[Symbol(key)] = joined(o, key, other)),
  (o, { key }) => (o[key] = NaN),
  (o, { key, other }) => (o[key] = new Map([[1, joined(o, key, other)]])),
  (o, { key, other }) => (o.constructor = joined(o, key, other)),
  (o, { key, other }) => (o['to' + 'JSON'] = other),
  (o, { key, other }) => (o['to' + 'JSON'] = () => ({ instead: joined(o, key, other) })),
  (o, { key, other }) => (o[key] = { ['__pro' + 'to__']: joined(o, key, other), valueOf: joined(o, other, key) }),
  (o, { key }) => (o[key] = JSON.rawJSON('"raw"')),
  (o, { key, other }) => (o[key] = '\ud800' + joined(o, key, other) + '日本語'),
  (o, { key }) => (o[key] = held[0]?.[key] ?? null),
];

const ENDS = [
  (e) => e,
  (e) => e,
  (e) => e,
  (e) => e,
  (e) => ({ ...e }),
  async (e) => e,
  (e) => ({ wrapped: e, also: e }),
  (e) => [e, e],
  (e) => Object.assign(new Shape(), e),
  (e) => new Map(Object.entries(e)),
];

export function transformEvent(event, metadata) {
  const { edits, end } = JSON.parse(metadata(event).sourceName);
  for (const edit of edits) {
    try {
      EDITS[edit.op](at(event, edit.path), edit);
    } catch (error) {
      log(`${error}`);
    }
  }
  held[0] = event;
  const seen = Object.keys(event).join();
  const result = ENDS[end](event);
  log(seen);
  return result;
}
