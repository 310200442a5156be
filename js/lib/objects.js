// Small helpers for data: equal, merge, pick, omit, get.
//
//   import { equal, merge, pick } from 'objects';
//   equal({ a: [1] }, { a: [1] });                     // true
//   merge({ a: { b: 1 } }, { a: { c: 2 } });           // { a: { b: 1, c: 2 } }
//   pick(event.traits, ['email', 'plan']);             // only these, if they are there

const isPlain = (value) => typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);

/** Whether two values are the same data. The order of keys does not matter. */
export function equal(a, b) {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  if (a instanceof Date || b instanceof Date) return a instanceof Date && b instanceof Date && a.getTime() === b.getTime();
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]));
}

const put = (target, key, value) => {
  if (key === '__proto__') Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
  else target[key] = value;
};

/** Merges all sources into a new object: later ones win, objects are merged, lists are replaced. */
export function merge(...sources) {
  const out = {};
  for (const source of sources) {
    if (!isPlain(source)) continue;
    for (const key of Object.keys(source)) {
      const value = source[key];
      const before = Object.hasOwn(out, key) ? out[key] : undefined;
      put(out, key, isPlain(value) ? merge(isPlain(before) ? before : {}, value) : value);
    }
  }
  return out;
}

/** A new object with the named properties that exist. */
export function pick(object, keys) {
  const out = {};
  for (const key of keys) if (object !== null && object !== undefined && Object.hasOwn(object, key)) put(out, key, object[key]);
  return out;
}

/** A new object with all properties except the named ones. */
export function omit(object, keys) {
  const out = {};
  for (const key of Object.keys(object ?? {})) if (!keys.includes(key)) put(out, key, object[key]);
  return out;
}

/** The value at a path such as 'traits.address.city' or 'products[0].price', or a default. */
export function get(object, path, fallback = undefined) {
  let value = object;
  for (const key of `${path}`.split(/[.[\]]+/).filter((part) => part !== '')) {
    if (value === null || value === undefined) return fallback;
    value = value[key];
  }
  return value === undefined ? fallback : value;
}
