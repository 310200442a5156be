// This module is loaded before a transformation whose lineage is measured, so that the author's code uses the functions
// that the module installs. It does two things:
//
// - `repeat` makes random numbers the same in every run of an event, so that outputs can be compared.
// - `record` gives the author's function a view of the event that records each property that is read, and the line that
//   reads it. The view is a Proxy for each object and array. Values that the author's code has written are no longer
//   input, so reading them back is not recorded.
//
// The notes are written with `log`, as one line that starts with U+0001, which no author writes.

const MARK = '\u0001lineage ';
const { ownKeys, getOwnPropertyDescriptor, defineProperty, deleteProperty, get, set, has } = Reflect;
const { isArray } = Array;
const { hasOwn } = Object;
const { stringify } = JSON;
const write = globalThis.log;
const NewError = Error;
const isIndex = RegExp.prototype.test.bind(/^(?:0|[1-9]\d{0,8})$/);

/** The kinds of reads: a missing value, a value, or the keys of an object or the length of an array. */
const ABSENT = 0;
const VALUE = 1;
const KEYS = 2;

/** Whether the language itself reads a key when a value is awaited or printed. */
const isAsked = (key) => key === 'then' || key === 'toJSON';

/** The number of reads of one place for which the line is looked up. */
const MAX_LINES = 6;

/** The most places that are recorded for one event. */
const MAX_NODES = 50_000;

// --- the same random numbers in every run ----------------------------------------------------------------------------

let state = 0;
const chance = () => {
  // mulberry32, as in a test with a seed.
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};
const replace = (object, name, value) =>
  defineProperty(object, name, { __proto__: null, value, writable: true, configurable: true });

replace(Math, 'random', () => chance());

/** Restarts the random numbers. Must be called before each run of an event. */
export const repeat = () => {
  state = host.seed;
};

// --- recording --------------------------------------------------------------------------------------------------------

/** `[parent, key]` of each place. Places without a parent are roots. */
let nodes = [];
let children = [];
let notes = [];
let nodeOf = new WeakMap();
let viewOf = new WeakMap();
let targetOf = new WeakMap();
let written = new WeakMap();

const begin = () => {
  repeat();
  nodes = [[-1, 'event'], [-1, 'metadata'], [-1, 'credential'], [-1, 'network']];
  children = [];
  notes = [];
  nodeOf = new WeakMap();
  viewOf = new WeakMap();
  targetOf = new WeakMap();
  written = new WeakMap();
};

const child = (parent, key) => {
  const known = (children[parent] ??= new Map());
  let node = known.get(key);
  if (node === undefined) {
    if (nodes.length >= MAX_NODES) return parent;
    node = nodes.length;
    nodes[node] = [parent, key];
    known.set(key, node);
  }
  return node;
};

const OWN_FRAME = /library sluicegate:(?:record|lineage):/;
const FRAME = /\(?((?:library )?[^()]*):(\d+):\d+\)?$/;

/** The first line of the stack in the author's code or a library, as `[file, line]`. */
const caller = () => {
  const lines = new NewError().stack.split('\n');
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i];
    if (OWN_FRAME.test(line) || !line.includes('library ')) continue;
    const found = FRAME.exec(line.slice(line.indexOf('library ')));
    if (found !== null) return `${found[1]}:${found[2]}`;
  }
  return '';
};

const note = (node, what) => {
  const kinds = (notes[node] ??= []);
  const entry = (kinds[what] ??= { count: 0, lines: new Set() });
  entry.count++;
  if (entry.count <= MAX_LINES) entry.lines.add(caller());
};

const isObject = (value) => typeof value === 'object' && value !== null;
const raw = (value) => (isObject(value) ? targetOf.get(value) ?? value : value);

const view = (target, node) => {
  let made = viewOf.get(target);
  if (made === undefined) {
    made = new Proxy(target, handler);
    viewOf.set(target, made);
    targetOf.set(made, target);
    nodeOf.set(target, node);
  }
  return made;
};

const isWritten = (target, key) => written.get(target)?.has(key) === true;
const markWritten = (target, key) => {
  const keys = written.get(target);
  if (keys === undefined) written.set(target, new Set([key]));
  else keys.add(key);
};
const keyOf = (target, key) => (isArray(target) && isIndex(key) ? Number(key) : key);

/** Records the read of a key of a target, and returns the value: a view if it is an object. */
const seen = (target, key, value) => {
  const known = isObject(value) && nodeOf.get(value);
  const node = child(nodeOf.get(target), keyOf(target, key));
  note(node, VALUE);
  if (!isObject(value)) return value;
  return known === undefined || known === false ? view(value, node) : view(value, known);
};

const handler = {
  get(target, key, receiver) {
    if (typeof key === 'symbol') return get(target, key, receiver);
    const own = hasOwn(target, key);
    if (!own) {
      // Methods are not data; a missing key is recorded as absent.
      if (!(key in target) && !isAsked(key) && !isWritten(target, key) && !isArray(target)) note(child(nodeOf.get(target), key), ABSENT);
      return get(target, key, receiver);
    }
    if (isArray(target) && key === 'length') {
      note(nodeOf.get(target), KEYS);
      return target.length;
    }
    const value = get(target, key, receiver);
    if (isWritten(target, key)) return isObject(value) && nodeOf.has(value) ? view(value, nodeOf.get(value)) : value;
    return seen(target, key, value);
  },
  has(target, key) {
    if (typeof key === 'string' && !isWritten(target, key)) {
      const own = hasOwn(target, key);
      if (own || !(key in target)) note(child(nodeOf.get(target), keyOf(target, key)), own ? VALUE : ABSENT);
    }
    return has(target, key);
  },
  ownKeys(target) {
    note(nodeOf.get(target), KEYS);
    return ownKeys(target);
  },
  getOwnPropertyDescriptor(target, key) {
    const descriptor = getOwnPropertyDescriptor(target, key);
    if (typeof key === 'symbol' || isWritten(target, key) || (isArray(target) && key === 'length')) return descriptor;
    if (descriptor === undefined) {
      if (!(key in target) && !isArray(target)) note(child(nodeOf.get(target), key), ABSENT);
    } else if ('value' in descriptor && descriptor.configurable && isObject(descriptor.value)) {
      descriptor.value = view(descriptor.value, nodeOf.get(descriptor.value) ?? child(nodeOf.get(target), keyOf(target, key)));
    }
    return descriptor;
  },
  set(target, key, value, receiver) {
    if (typeof key === 'string') markWritten(target, key);
    return set(target, key, raw(value), targetOf.get(receiver) ?? receiver);
  },
  defineProperty(target, key, descriptor) {
    if (typeof key === 'string') markWritten(target, key);
    if ('value' in descriptor) descriptor.value = raw(descriptor.value);
    return defineProperty(target, key, descriptor);
  },
  deleteProperty(target, key) {
    if (typeof key === 'string') markWritten(target, key);
    return deleteProperty(target, key);
  },
};

/** A copy without views, for functions that accept no Proxy; everything in it counts as read. */
const copied = (value, depth) => {
  if (!isObject(value) || depth > 200) return value;
  if (isArray(value)) return value.map((inner) => copied(inner, depth + 1));
  if (!targetOf.has(value) && Object.getPrototypeOf(value) !== Object.prototype) return value;
  const copy = {};
  for (const key of Object.keys(value)) copy[key] = copied(value[key], depth + 1);
  return copy;
};

const end = () => {
  const found = [];
  for (let node = 0; node < nodes.length; node++) {
    const kinds = notes[node];
    if (kinds === undefined) continue;
    for (let what = 0; what < kinds.length; what++) {
      const entry = kinds[what];
      if (entry !== undefined) found.push([node, what, [...entry.lines]]);
    }
  }
  write(MARK + stringify({ nodes, notes: found }));
};

const METADATA = 1;
const CREDENTIAL = 2;
const NETWORK = 3;

if (host.recording) {
  const { getCredential, fetchV2, geolocation, structuredClone } = globalThis;
  if (structuredClone !== undefined) {
    replace(globalThis, 'structuredClone', (value, ...rest) => structuredClone(copied(value, 0), ...rest));
  }
  replace(globalThis, 'getCredential', (key) => {
    const value = getCredential(key);
    note(child(CREDENTIAL, String(key)), value === undefined ? ABSENT : VALUE);
    return value;
  });
  /** Sends a request. The engine names the source of the answer in a header. */
  const ask = async (url, options) => {
    const answer = await fetchV2(url, options);
    const { 'sluicegate-lineage-source': source, ...headers } = answer.headers ?? {};
    return { answer: { ...answer, headers }, node: child(NETWORK, source ?? '') };
  };
  const isStrict = host.strict;
  replace(globalThis, 'fetchV2', async (url, options) => {
    const { answer, node } = await ask(url, options);
    return view(answer, node);
  });
  replace(globalThis, 'fetch', async (url, options) => {
    try {
      const { answer, node } = await ask(url, options);
      if (typeof answer.body === 'string') throw new NewError(`request to ${url} failed, reason: the answer is not JSON`);
      return isObject(answer.body) ? view(answer.body, child(node, 'body')) : answer.body;
    } catch (error) {
      if (isStrict) throw error;
      return 'ERROR';
    }
  });
  replace(globalThis, 'geolocation', async (ip) => {
    const body = await geolocation(ip);
    return isObject(body) ? view(body, child(child(NETWORK, 'geolocation'), 'body')) : body;
  });
}

/** Runs the author's function on views; only its reads matter here, not its result. */
export const record = async (author, input, metadata) => {
  begin();
  try {
    const views = isArray(input) ? input.map((event) => view(event, 0)) : view(input, 0);
    const about = (event) => view(metadata(raw(event)), METADATA);
    await author(views, about);
  } finally {
    end();
  }
  return isArray(input) ? [] : null;
};
