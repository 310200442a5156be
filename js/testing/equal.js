// When two values are the same, and where they are not. One walk answers both: `differences` gives the list of places,
// and equality is its being empty.
//
// Modes: `equal` (undefined fields do not count), `strict` (they do, and classes), `match` (the actual value may have
// more fields).
((printing) => {
  const { print, pathText, isPlain } = printing;
  const ABSENT = Symbol('absent');

  class Asymmetric {
    isAsymmetric = true;
    constructor(name, matches, text) {
      this.name = name;
      this.matches = matches;
      this.asText = () => text;
    }
  }

  const isAsymmetric = (value) => value instanceof Asymmetric;
  const isObject = (value) => typeof value === 'object' && value !== null;
  const fields = (value) =>
    Reflect.ownKeys(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));

  /** Calls `differ(path, expected, actual)` for each difference. */
  const walk = (expected, actual, mode, path, differ, seen) => {
    if (isAsymmetric(expected)) {
      if (!expected.matches(actual)) differ(path, expected, actual);
      return;
    }
    if (Object.is(expected, actual)) return;
    // As JSON has it, and as Jest's toEqual does not: a test of events does not care about the sign of zero.
    if (mode !== 'strict' && expected === 0 && actual === 0) return;
    if (!isObject(expected) || !isObject(actual)) {
      differ(path, expected, actual);
      return;
    }
    if (seen.some(([a, b]) => a === expected && b === actual)) return;
    seen.push([expected, actual]);
    const tag = (value) => Object.prototype.toString.call(value);
    const sameClass = mode !== 'strict' || Object.getPrototypeOf(expected) === Object.getPrototypeOf(actual);
    if (tag(expected) !== tag(actual) || Array.isArray(expected) !== Array.isArray(actual) || !sameClass) {
      differ(path, expected, actual);
    } else if (expected instanceof Date || expected instanceof RegExp || Error.isError(expected)) {
      const same = Error.isError(expected)
        ? expected.name === actual.name && expected.message === actual.message
        : print(expected) === print(actual);
      if (!same) differ(path, expected, actual);
    } else if (expected instanceof Map || expected instanceof Set) {
      const list = (value) => Array.from(value);
      walk(list(expected), list(actual), mode, path, differ, seen);
    } else if (Array.isArray(expected)) {
      const length = Math.max(expected.length, actual.length);
      for (let i = 0; i < length; i++) {
        const a = i < expected.length ? expected[i] : ABSENT;
        const b = i < actual.length ? actual[i] : ABSENT;
        if (a === ABSENT || b === ABSENT) differ([...path, i], a, b);
        else walk(a, b, mode === 'match' && !isPlainObject(a) ? 'equal' : mode, [...path, i], differ, seen);
      }
    } else {
      for (const key of fields(expected)) {
        const has = Object.hasOwn(actual, key);
        if (!has && (mode === 'strict' || expected[key] !== undefined)) {
          if (isAsymmetric(expected[key]) && expected[key].matches(undefined)) continue;
          differ([...path, key], expected[key], ABSENT);
        } else walk(expected[key], actual[key], mode, [...path, key], differ, seen);
      }
      if (mode !== 'match') {
        for (const key of fields(actual)) {
          if (Object.hasOwn(expected, key) || (mode !== 'strict' && actual[key] === undefined)) continue;
          differ([...path, key], ABSENT, actual[key]);
        }
      }
    }
    seen.pop();
  };

  const isPlainObject = (value) => isObject(value) && !Array.isArray(value) && isPlain(value);

  /** The places that differ: `{path, expected, actual}` with texts, `undefined` for a side that is not there. */
  const differences = (expected, actual, mode = 'equal', root = []) => {
    const found = [];
    const text = (value) => (value === ABSENT ? undefined : print(value));
    walk(expected, actual, mode, root, (path, a, b) => {
      if (found.length < 200) found.push({ path: pathText(path), expected: text(a), actual: text(b) });
    }, []);
    return found;
  };

  const equals = (expected, actual, mode = 'equal') => {
    let same = true;
    walk(expected, actual, mode, [], () => { same = false; }, []);
    return same;
  };

  return { Asymmetric, isAsymmetric, differences, equals, isObject };
})
