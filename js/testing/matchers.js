// The matchers that Jest and Vitest users know, for plain values. A matcher returns `{pass, message, differences,
// hint}`; `expect.js` does everything else (`.not`, promises, the error with its frames) for all of them.
((printing, equality, snapshots) => {
  const { print, short } = printing;
  const { differences, equals, isObject } = equality;

  class AssertionError extends Error {
    name = 'AssertionError';
  }

  const need = (ok, what, actual) => {
    if (!ok) throw new AssertionError(`${what}, but it is ${short(actual)}`);
  };

  const isVerdict = (value) => isObject(value) && typeof value.verdict === 'string' && Array.isArray(value.events);
  const VERDICT = 'transform(event) gives a verdict; compare what goes out with toEmit(event), or look at verdict.events';

  const compared = (expected, actual, mode) => {
    const found = differences(expected, actual, mode);
    const hint = isVerdict(actual) && isObject(expected) && !('verdict' in expected) && !('events' in expected) ? VERDICT : undefined;
    return { pass: found.length === 0, differences: found, expected, actual, hint };
  };

  const compare = (word, test) => (actual, expected) => ({
    pass: (typeof actual === 'number' || typeof actual === 'bigint') && test(actual, expected),
    message: (not) => `${short(actual)} is ${not ? '' : 'not '}${word} ${short(expected)}`,
  });
  const is = (what, test) => (actual, ...args) => ({
    pass: test(actual, ...args),
    message: (not) => `${short(actual)} is ${not ? '' : 'not '}${typeof what === 'function' ? what(...args) : what}`,
  });

  const close = (actual, expected, digits) =>
    Object.is(actual, expected) || Math.abs(actual - expected) < 10 ** -digits / 2;

  const textMatches = (text, pattern) =>
    pattern instanceof RegExp ? new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, '')).test(text) : text.includes(pattern);

  const at = (value, path) => {
    const parts = Array.isArray(path) ? path : String(path).replace(/\[(\w+)\]/g, '.$1').split('.').filter((part) => part !== '');
    let here = value;
    for (const part of parts) {
      if (here === null || here === undefined || !(part in Object(here))) return { found: false };
      here = here[part];
    }
    return { found: true, value: here };
  };
  const property = (actual, path) => {
    // A key that contains dots takes precedence over a path.
    if (typeof path === 'string' && actual !== null && actual !== undefined && path in Object(actual)) {
      return { found: true, value: actual[path] };
    }
    return at(actual, path);
  };

  const thrownBy = (actual, fromPromise) => {
    if (fromPromise) return { threw: true, thrown: actual };
    need(typeof actual === 'function', 'toThrow wants a function that it can call, such as () => f(x)', actual);
    try {
      actual();
    } catch (error) {
      return { threw: true, thrown: error };
    }
    return { threw: false };
  };

  const toThrow = (actual, [expected], fromPromise) => {
    const { threw, thrown } = thrownBy(actual, fromPromise);
    if (!threw) return { pass: false, message: () => 'the function did not throw' };
    const text = Error.isError(thrown) ? thrown.message : isObject(thrown) && typeof thrown.message === 'string' ? thrown.message : String(thrown);
    let pass = true;
    if (typeof expected === 'string' || expected instanceof RegExp) pass = textMatches(text, expected);
    else if (typeof expected === 'function') pass = thrown instanceof expected;
    else if (Error.isError(expected)) pass = text === expected.message;
    else if (expected !== undefined) pass = equals(expected, thrown, 'match');
    return {
      pass,
      message: (not) => not && expected === undefined
        ? `the function threw ${short(thrown)}`
        : `the function threw ${short(thrown)}, which ${not ? 'matches' : 'does not match'} ${
          typeof expected === 'function' ? expected.name : short(expected)}`,
    };
  };

  const thrownSnapshot = (match) => (actual, args, fromPromise) => {
    const { threw, thrown } = thrownBy(actual, fromPromise);
    if (!threw) return { pass: false, message: () => 'the function did not throw' };
    return match(thrown, ...args);
  };

  const items = (actual) => {
    need(actual !== null && actual !== undefined && typeof actual[Symbol.iterator] === 'function', 'the value has no items', actual);
    return Array.from(actual);
  };

  const matchers = {
    toBe: (actual, expected) => {
      const pass = Object.is(actual, expected);
      const alike = !pass && isObject(actual) && equals(expected, actual, 'strict');
      const found = pass || alike ? [] : differences(expected, actual, 'strict');
      const hint = alike ? 'the two look the same but are not one object; use toEqual to compare their fields' : undefined;
      return { pass, differences: found, hint };
    },
    toEqual: (actual, expected) => compared(expected, actual, 'equal'),
    toStrictEqual: (actual, expected) => compared(expected, actual, 'strict'),
    toMatchObject: (actual, expected) => {
      need(isObject(expected), 'toMatchObject wants an object to compare with', expected);
      return compared(expected, actual, 'match');
    },
    toContain: (actual, item) => ({
      pass: typeof actual === 'string' ? actual.includes(item) : items(actual).some((one) => Object.is(one, item)),
      message: (not) => `${short(actual)} ${not ? 'contains' : 'does not contain'} ${short(item)}`,
      hint: typeof actual !== 'string' && isObject(item) ? 'objects are compared by identity here; use toContainEqual' : undefined,
    }),
    toContainEqual: (actual, item) => ({
      pass: items(actual).some((one) => equals(item, one)),
      message: (not) => `${short(actual)} ${not ? 'contains' : 'does not contain'} ${short(item)}`,
    }),
    toHaveProperty: (actual, path, ...value) => {
      const { found, value: got } = property(actual, path);
      if (found && value.length > 0) return compared(value[0], got, 'equal');
      return { pass: found, message: (not) => `${short(actual)} has ${not ? 'a' : 'no'} property ${short(path)}` };
    },
    toHaveLength: (actual, length) => ({
      pass: actual?.length === length,
      message: (not) => `its length is ${not ? '' : `${short(actual?.length)}, not `}${length}`,
      differences: actual?.length === length ? [] : [{ path: 'length', expected: short(length), actual: short(actual?.length) }],
    }),
    toMatch: (actual, pattern) => {
      need(typeof actual === 'string', 'toMatch wants a string', actual);
      return {
        pass: textMatches(actual, pattern),
        message: (not) => `${short(actual)} ${not ? 'matches' : 'does not match'} ${short(pattern)}`,
      };
    },
    toBeCloseTo: (actual, expected, digits = 2) => ({
      pass: typeof actual === 'number' && close(actual, expected, digits),
      message: (not) => `${short(actual)} is ${not ? '' : 'not '}within ${10 ** -digits / 2} of ${short(expected)}`,
    }),
    toBeGreaterThan: compare('greater than', (a, b) => a > b),
    toBeGreaterThanOrEqual: compare('greater than or equal to', (a, b) => a >= b),
    toBeLessThan: compare('less than', (a, b) => a < b),
    toBeLessThanOrEqual: compare('less than or equal to', (a, b) => a <= b),
    toBeTruthy: is('truthy', Boolean),
    toBeFalsy: is('falsy', (value) => !value),
    toBeNull: is('null', (value) => value === null),
    toBeNullable: is('null or undefined', (value) => value === null || value === undefined),
    toBeUndefined: is('undefined', (value) => value === undefined),
    toBeDefined: is('defined', (value) => value !== undefined),
    toBeNaN: is('NaN', (value) => Number.isNaN(value)),
    toBeInstanceOf: is((type) => `an instance of ${type?.name}`, (value, type) => value instanceof type),
    toBeTypeOf: is((type) => `a ${type}`, (value, type) => typeof value === type),
    toBeOneOf: is((list) => `one of ${short([...list])}`, (value, list) => [...list].some((one) => equals(one, value))),
    toSatisfy: (actual, test, message) => {
      need(typeof test === 'function', 'toSatisfy wants a function that says whether the value is right', test);
      return {
        pass: Boolean(test(actual)),
        message: (not) => message ?? `${short(actual)} ${not ? 'satisfies' : 'does not satisfy'} ${test.name || 'the condition'}`,
      };
    },
    toMatchSnapshot: (actual, ...args) => snapshots.match(actual, ...args),
    toMatchInlineSnapshot: (actual, ...args) => snapshots.matchInline(actual, ...args),
    toMatchFileSnapshot: async (actual, path) => snapshots.matchFile(actual, path),
  };
  /** Matchers with a flag that says whether the value is the reason of a rejection. Their arguments are a list. */
  const throwing = {
    toThrow,
    toThrowError: toThrow,
    toThrowErrorMatchingSnapshot: thrownSnapshot(snapshots.match),
    toThrowErrorMatchingInlineSnapshot: thrownSnapshot(snapshots.matchInline),
  };
  const all = {};
  for (const [name, match] of Object.entries(matchers)) all[name] = (actual, args) => match(actual, ...args);
  return { matchers: { ...all, ...throwing }, AssertionError, need, isVerdict, close, textMatches, print };
})
