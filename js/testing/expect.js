// `expect(actual).matcher(expected)`: the matchers that Jest and Vitest users know, and the engine's own for verdicts.
//
// A matcher returns `{pass, message, differences}`; everything else, `.not`, promises, the error with its frames, is
// done once for all of them.
((printing, equality, snapshots) => {
  const { print, short } = printing;
  const { Asymmetric, differences, equals, isObject } = equality;

  class AssertionError extends Error {
    name = 'AssertionError';
  }

  const compared = (expected, actual, mode) => {
    const found = differences(expected, actual, mode);
    return { pass: found.length === 0, differences: found, expected, actual };
  };

  const need = (ok, what, actual) => {
    if (!ok) throw new AssertionError(`${what}, but it is ${short(actual)}`);
  };

  const isVerdict = (value) => isObject(value) && typeof value.verdict === 'string';
  const verdictText = (verdict) => {
    if (verdict.verdict === 'failed') {
      return `it failed: ${verdict.kind}: ${verdict.name === undefined ? '' : `${verdict.name}: `}${verdict.message}`;
    }
    if (verdict.verdict === 'dropped') return 'it was dropped';
    return `it went out as ${verdict.events.length === 1 ? 'one event' : `${verdict.events.length} events`}`;
  };

  const compare = (word, test) => (actual, expected) => ({
    pass: (typeof actual === 'number' || typeof actual === 'bigint') && test(actual, expected),
    message: (not) => `${short(actual)} is ${not ? '' : 'not '}${word} ${short(expected)}`,
  });
  const is = (what, test) => (actual) => ({
    pass: test(actual),
    message: (not) => `${short(actual)} is ${not ? '' : 'not '}${what}`,
  });

  const close = (actual, expected, digits) =>
    Object.is(actual, expected) || Math.abs(actual - expected) < 10 ** -digits / 2;

  const textMatches = (text, pattern) =>
    pattern instanceof RegExp ? new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, '')).test(text) : text.includes(pattern);

  const at = (value, path) => {
    const parts = Array.isArray(path) ? path : String(path).replace(/\[(\w+)\]/g, '.$1').split('.');
    let here = value;
    for (const part of parts) {
      if (here === null || here === undefined || !(part in Object(here))) return { found: false };
      here = here[part];
    }
    return { found: true, value: here };
  };

  const matchers = {
    toBe: (actual, expected) => {
      const pass = Object.is(actual, expected);
      const alike = !pass && isObject(actual) && equals(expected, actual, 'strict');
      const found = pass ? [] : alike ? [] : differences(expected, actual, 'strict');
      const hint = alike ? 'the two look the same but are not one object; use toEqual to compare their fields' : undefined;
      return { pass, differences: found, hint };
    },
    toEqual: (actual, expected) => compared(expected, actual, 'equal'),
    toStrictEqual: (actual, expected) => compared(expected, actual, 'strict'),
    toMatchObject: (actual, expected) => compared(expected, actual, 'match'),
    toContain: (actual, item) => ({
      pass: typeof actual === 'string' ? actual.includes(item) : Array.from(actual ?? []).some((one) => Object.is(one, item)),
      message: (not) => `${short(actual)} ${not ? 'contains' : 'does not contain'} ${short(item)}`,
    }),
    toContainEqual: (actual, item) => ({
      pass: Array.from(actual ?? []).some((one) => equals(item, one)),
      message: (not) => `${short(actual)} ${not ? 'contains' : 'does not contain'} ${short(item)}`,
    }),
    toHaveProperty: (actual, path, ...value) => {
      const { found, value: got } = at(actual, path);
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
    toThrow: (actual, expected, fromPromise) => {
      let thrown = actual;
      let threw = fromPromise;
      if (!fromPromise) {
        need(typeof actual === 'function', 'toThrow wants a function that it can call, such as () => f(x)', actual);
        try {
          actual();
        } catch (error) {
          thrown = error;
          threw = true;
        }
      }
      if (!threw) return { pass: false, message: () => 'the function did not throw' };
      const text = Error.isError(thrown) ? thrown.message : String(thrown);
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
    toBeUndefined: is('undefined', (value) => value === undefined),
    toBeDefined: is('defined', (value) => value !== undefined),
    toBeNaN: is('NaN', (value) => Number.isNaN(value)),
    toBeInstanceOf: (actual, type) => ({
      pass: actual instanceof type,
      message: (not) => `${short(actual)} is ${not ? '' : 'not '}an instance of ${type.name}`,
    }),
    toMatchSnapshot: (actual, hint) => snapshots.match(actual, hint),
    toMatchInlineSnapshot: (actual, snapshot) => snapshots.matchInline(actual, snapshot),

    // --- verdicts ---------------------------------------------------------------------------------------------------

    toBeDropped: (actual) => {
      need(isVerdict(actual), 'toBeDropped wants a verdict, which transform(event) gives', actual);
      const found = actual.verdict === 'ok' ? differences([], actual.events, 'equal', ['events']) : [];
      return {
        pass: actual.verdict === 'dropped',
        message: (not) => (not ? 'the event was dropped' : `the event was not dropped: ${verdictText(actual)}`),
        differences: found,
      };
    },
    toFailWith: (actual, expected) => {
      need(isVerdict(actual), 'toFailWith wants a verdict, which transform(event) gives', actual);
      if (actual.verdict !== 'failed') {
        return { pass: false, message: () => `the event did not fail: ${verdictText(actual)}` };
      }
      let found = [];
      const text = actual.name === undefined ? actual.message : `${actual.name}: ${actual.message}`;
      if (expected instanceof RegExp) {
        if (!textMatches(text, expected)) found = [{ path: 'message', expected: short(expected), actual: print(text) }];
      } else if (typeof expected === 'string') found = differences(expected, actual.kind, 'equal', ['kind']);
      else {
        const { message, ...rest } = expected;
        found = differences(rest, actual, 'match');
        if (message !== undefined && !textMatches(actual.message, message)) {
          found.push({ path: 'message', expected: short(message), actual: print(actual.message) });
        }
      }
      return {
        pass: found.length === 0,
        message: (not) => (not ? `the event failed so: ${text}` : `the event failed otherwise: ${verdictText(actual)}`),
        differences: found,
      };
    },
    toEmit: (actual, expected) => {
      need(isVerdict(actual), 'toEmit wants a verdict, which transform(event) gives', actual);
      const events = Array.isArray(expected) ? expected : [expected];
      if (actual.verdict !== 'ok') {
        const found = actual.verdict === 'dropped' ? differences(events, [], 'equal', ['events']) : [];
        return {
          pass: actual.verdict === 'dropped' && events.length === 0,
          message: () => `nothing went out: ${verdictText(actual)}`,
          differences: found,
        };
      }
      const found = differences(events, actual.events, 'equal', ['events']);
      return { pass: found.length === 0, differences: found };
    },
  };

  /** Throws what a failed matcher found. */
  const fail = (name, not, actual, args, result) => {
    const wrote = args.length === 0 ? '' : short(args[0]);
    const said = result.message?.(not)
      ?? (not ? `expected the values to differ, but both are ${short(result.actual ?? args[0])}` : 'the values differ');
    const error = new AssertionError(`${said}${result.hint === undefined ? '' : ` (${result.hint})`}`);
    error.matcher = `${not ? 'not.' : ''}${name}`;
    error.wrote = wrote;
    error.differences = not ? [] : (result.differences ?? []);
    if (isVerdict(actual) && actual.verdict === 'failed') error.failure = actual.stack;
    throw error;
  };

  const judge = (name, not, actual, args, fromPromise) => {
    const result = matchers[name](actual, ...args, ...(name === 'toThrow' && fromPromise ? [undefined, true].slice(args.length) : []));
    if (result.pass === not) fail(name, not, actual, args, result);
  };

  const bound = (actual, not) => {
    const methods = {};
    for (const name of Object.keys(matchers)) {
      methods[name] = (...args) => judge(name, not, actual, args, false);
    }
    return methods;
  };

  const promised = (actual, not, wanted) => {
    const methods = {};
    for (const name of Object.keys(matchers)) {
      methods[name] = async (...args) => {
        let value;
        let rejected = false;
        try {
          value = await (typeof actual === 'function' ? actual() : actual);
        } catch (error) {
          value = error;
          rejected = true;
        }
        if (rejected !== (wanted === 'rejects')) {
          throw new AssertionError(rejected
            ? `the promise was rejected with ${short(value)}`
            : `the promise was fulfilled with ${short(value)}, not rejected`);
        }
        judge(name, not, value, args, true);
      };
    }
    return methods;
  };

  const expect = (actual) => ({
    ...bound(actual, false),
    not: { ...bound(actual, true), resolves: promised(actual, true, 'resolves'), rejects: promised(actual, true, 'rejects') },
    resolves: { ...promised(actual, false, 'resolves'), not: promised(actual, true, 'resolves') },
    rejects: { ...promised(actual, false, 'rejects'), not: promised(actual, true, 'rejects') },
  });

  const makers = {
    anything: () => new Asymmetric('anything', (value) => value !== null && value !== undefined, 'expect.anything()'),
    any: (type) => new Asymmetric('any', (value) =>
      value instanceof type || (value !== null && value !== undefined && Object(value) instanceof type), `expect.any(${type.name})`),
    objectContaining: (part) => new Asymmetric('objectContaining',
      (value) => isObject(value) && Object.keys(part).every((key) => key in value && equals(part[key], value[key])),
      `expect.objectContaining(${short(part)})`),
    arrayContaining: (part) => new Asymmetric('arrayContaining',
      (value) => Array.isArray(value) && part.every((item) => value.some((one) => equals(item, one))),
      `expect.arrayContaining(${short(part)})`),
    stringContaining: (part) => new Asymmetric('stringContaining',
      (value) => typeof value === 'string' && value.includes(part), `expect.stringContaining(${short(part)})`),
    stringMatching: (pattern) => new Asymmetric('stringMatching',
      (value) => typeof value === 'string' && textMatches(value, pattern), `expect.stringMatching(${short(pattern)})`),
    closeTo: (number, digits = 2) => new Asymmetric('closeTo',
      (value) => typeof value === 'number' && close(value, number, digits), `expect.closeTo(${number}, ${digits})`),
  };
  const negated = {};
  for (const [name, make] of Object.entries(makers)) {
    expect[name] = make;
    negated[name] = (...args) => {
      const inner = make(...args);
      return new Asymmetric(name, (value) => !inner.matches(value), inner.asText().replace('expect.', 'expect.not.'));
    };
  }
  expect.not = negated;

  return { expect, AssertionError, verdictText };
})
