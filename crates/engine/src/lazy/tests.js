// Interprets a random program over an event and its metadata, and logs everything that can be seen of them.
// tests.rs removes the code between `accessor:` and `plain:` for programs that run no code while an event is printed.
const kept = [];
let inside = false;

const text = (value) => {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch (error) {
    return `${error}`;
  }
};

const described = (value) =>
  text(Object.entries(value ?? {}).map(([name, { value: held, ...rest }]) => [name, text(held), rest]));

const OPERATIONS = [
  // These can end a program.
  (e) => e,
  (e) => e,
  (e) => e,
  (e) => ({ ...e }),
  (e) => ({ wrapped: e }),
  (e) => [e, e],
  (e, { key }) => [e, { part: e[key] ?? null }],
  () => null,
  // accessor:
  (e) => Object.assign(Object.create(e), e),
  (e) => new Proxy(e, {}),
  // plain:
  async (e) => e,
  (e, { key }) => ({ before: 1, ...e, [key]: 'replaced' }),
  (e, { key, other }) => ({ a: e[key], b: e[key], c: e[other] }),
  (e) => {
    throw new Error(Object.keys(e).join());
  },
  (e) => Object.freeze(e),
  (e) => JSON.parse(JSON.stringify(e)),
  (e, { key }) => {
    const { [key]: gone, ...rest } = e;
    return rest;
  },
  // These cannot.
  (e, { key }) => log(key, text(e[key])),
  (e) => log(Object.keys(e).join(), Object.getOwnPropertyNames(e).length, Object.getOwnPropertySymbols(e).length),
  (e) => log(text(e)),
  (e, { key }) => log(key in e, Object.hasOwn(e, key), delete e[key]),
  (e, { key, value }) => {
    e[key] = JSON.parse(value);
  },
  (e, { key, other }) => {
    e[key] = e[other];
  },
  (e, { key }) => {
    const held = e[key];
    if (Array.isArray(held)) held.push('more');
    else if (typeof held === 'object' && held !== null) held.more = 'more' + key;
    else e[key] = `${held} and more of it`;
  },
  (e) => log(described(Object.getOwnPropertyDescriptors(e))),
  (e, { key }) => {
    const { value, ...rest } = Object.getOwnPropertyDescriptor(e, key) ?? {};
    log(text(value), text(rest));
  },
  // accessor:
  (e, { key, other }) => {
    Object.defineProperty(e, key, {
      get() {
        // Two of these accessors may read each other.
        if (inside) return 'inside';
        inside = true;
        const seen = [this === e, typeof e[other], typeof kept[0]?.[other]];
        inside = false;
        return seen;
      },
      enumerable: true,
      configurable: true,
    });
  },
  (e, { key }) => Object.defineProperty(e, key, { enumerable: false }),
  // plain:
  (e) => Object.seal(e),
  (e) => Object.preventExtensions(e),
  (e) => {
    for (const key in e) log(key, typeof e[key]);
  },
  // accessor:
  (e, { key, value }) => {
    log(Object.isFrozen(e), Object.isSealed(e));
    const child = Object.create(e);
    child[key] = JSON.parse(value);
    log(text(child), text(e[key]));
  },
  // plain:
  (e) => {
    kept.unshift(e);
    kept.length = Math.min(kept.length, 3);
  },
  (e, { key }) => {
    e[Symbol.toStringTag] = key;
  },
  (e, { key, value }) => {
    for (const event of kept) {
      log(text(event[key]), Object.keys(event).join());
      if (!Object.isFrozen(event) && Object.hasOwn(event, key)) event[key] = JSON.parse(value);
    }
  },
];

export function transformEvent(event, metadata) {
  let result = event;
  const own = metadata(event);
  for (const operation of JSON.parse(own.sourceName)) {
    try {
      const inner = operation.inner === 'metadata()' ? own : operation.inner && event[operation.inner];
      const target = inner && typeof inner === 'object' && !Array.isArray(inner) ? inner : event;
      const answer = OPERATIONS[operation.op](target, operation);
      if (operation.last) result = answer;
    } catch (error) {
      if (operation.last) throw error;
      log(`${error}`);
    }
  }
  return result;
}
