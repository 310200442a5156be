// Decides whether two values are equal, and where they differ. One traversal does both: `differences` returns the list
// of places, and two values are equal when that list is empty.
//
// Modes: `equal` (undefined fields do not count), `strict` (they count, and classes too), `match` (the actual value may
// have more fields).
((printing, linewise) => {
  const { print, pathText, isPlain } = printing;
  const ABSENT = Symbol('absent');
  const MAX_PLACES = 200;

  /** An expected value that matches many values: `expect.any(String)`. */
  class Asymmetric {
    isAsymmetric = true;
    constructor(name, matches, text, pretty = text) {
      this.name = name;
      this.asymmetricMatch = matches;
      this.asText = () => text;
      this.asPretty = () => pretty;
    }
  }

  const isObject = (value) => typeof value === 'object' && value !== null;
  const isAsymmetric = (value) =>
    value instanceof Asymmetric || (isObject(value) && typeof value.asymmetricMatch === 'function');
  const fields = (value) =>
    Reflect.ownKeys(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));
  const isPlainObject = (value) => isObject(value) && !Array.isArray(value) && isPlain(value);
  const tag = (value) => Object.prototype.toString.call(value);

  /** The testers that `expect.addEqualityTesters` has added. */
  const testers = [];
  const addTesters = (added) => testers.push(...added);
  const equalsFor = { equals: (a, b) => equals(b, a) };

  /** Calls `differ(path, expected, actual)` for each difference. */
  const walk = (expected, actual, mode, path, differ, seen) => {
    if (isAsymmetric(expected)) {
      if (!expected.asymmetricMatch(actual)) differ(path, expected, actual);
      return;
    }
    if (isAsymmetric(actual)) {
      if (!actual.asymmetricMatch(expected)) differ(path, expected, actual);
      return;
    }
    for (const tester of testers) {
      const same = tester.call(equalsFor, actual, expected, testers);
      if (same === undefined) continue;
      if (!same) differ(path, expected, actual);
      return;
    }
    if (Object.is(expected, actual)) return;
    // As in JSON, and unlike Jest's toEqual: the sign of zero does not matter in a test of events.
    if (mode !== 'strict' && expected === 0 && actual === 0) return;
    if (!isObject(expected) || !isObject(actual)) {
      differ(path, expected, actual);
      return;
    }
    if (seen.some(([a, b]) => a === expected && b === actual)) return;
    seen.push([expected, actual]);
    const sameClass = mode !== 'strict' || Object.getPrototypeOf(expected) === Object.getPrototypeOf(actual);
    if (tag(expected) !== tag(actual) || Array.isArray(expected) !== Array.isArray(actual) || !sameClass) {
      differ(path, expected, actual);
    } else if (Error.isError(expected)) {
      if (expected.name !== actual.name || expected.message !== actual.message) differ(path, expected, actual);
    } else if (expected instanceof Date || expected instanceof RegExp || isBoxed(expected)) {
      if (print(expected) !== print(actual)) differ(path, expected, actual);
    } else if (expected instanceof Set) {
      if (!sameSets(expected, actual, mode)) differ(path, expected, actual);
    } else if (expected instanceof Map) {
      if (!sameMaps(expected, actual, mode)) differ(path, expected, actual);
    } else if (Array.isArray(expected)) {
      walkItems(expected, actual, mode, path, differ, seen);
    } else {
      walkFields(expected, actual, mode, path, differ, seen);
    }
    seen.pop();
  };

  const isBoxed = (value) => ['[object String]', '[object Number]', '[object Boolean]'].includes(tag(value));

  const sameSets = (expected, actual, mode) => {
    if (expected.size !== actual.size) return false;
    const left = [...actual];
    return [...expected].every((item) => {
      const at = left.findIndex((one) => equals(item, one, mode));
      if (at !== -1) left.splice(at, 1);
      return at !== -1;
    });
  };

  const sameMaps = (expected, actual, mode) => {
    if (expected.size !== actual.size) return false;
    return [...expected].every(([key, value]) => {
      if (actual.has(key)) return equals(value, actual.get(key), mode);
      return [...actual].some(([other, one]) => equals(key, other, mode) && equals(value, one, mode));
    });
  };

  const walkItems = (expected, actual, mode, path, differ, seen) => {
    const length = Math.max(expected.length, actual.length);
    for (let i = 0; i < length; i++) {
      const a = i < expected.length ? expected[i] : ABSENT;
      const b = i < actual.length ? actual[i] : ABSENT;
      if (a === ABSENT || b === ABSENT) differ([...path, i], a, b);
      else walk(a, b, mode === 'match' && !isPlainObject(a) ? 'equal' : mode, [...path, i], differ, seen);
    }
  };

  const walkFields = (expected, actual, mode, path, differ, seen) => {
    for (const key of fields(expected)) {
      const has = Object.hasOwn(actual, key) || (mode === 'match' && key in actual);
      if (!has && (mode === 'strict' || expected[key] !== undefined)) {
        if (isAsymmetric(expected[key]) && expected[key].asymmetricMatch(undefined)) continue;
        differ([...path, key], expected[key], ABSENT);
      } else walk(expected[key], actual[key], mode, [...path, key], differ, seen);
    }
    if (mode === 'match') return;
    for (const key of fields(actual)) {
      if (Object.hasOwn(expected, key) || (mode !== 'strict' && actual[key] === undefined)) continue;
      differ([...path, key], ABSENT, actual[key]);
    }
  };

  const isLong = (value) => typeof value === 'string' && value.includes('\n');

  /**
   * The places that differ: `{path, expected, actual}` with texts, `undefined` for a missing side. If both values are
   * strings and one has several lines, the place also has `lines`.
   */
  const differences = (expected, actual, mode = 'equal', root = []) => {
    const found = [];
    const text = (value) => (value === ABSENT ? undefined : print(value));
    walk(expected, actual, mode, root, (path, a, b) => {
      if (found.length === MAX_PLACES) return;
      const place = { path: pathText(path), expected: text(a), actual: text(b) };
      if (typeof a === 'string' && typeof b === 'string' && (isLong(a) || isLong(b))) place.lines = linewise.byLine(a, b);
      found.push(place);
    }, []);
    return found;
  };

  const equals = (expected, actual, mode = 'equal') => {
    let same = true;
    walk(expected, actual, mode, [], () => { same = false; }, []);
    return same;
  };

  return { Asymmetric, isAsymmetric, differences, equals, isObject, addTesters };
})
