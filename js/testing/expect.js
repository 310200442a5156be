// `expect(actual).matcher(expected)`: `.not`, promises, soft assertions, custom matchers, errors with their frames, and
// the rules about all assertions of a test.
((printing, equality, nearest, values, verdicts, mocks, asymmetric, waiting, settings) => {
  const { print, short } = printing;
  const { Asymmetric, equals, differences } = equality;
  const { AssertionError } = values;
  const matchers = { ...values.matchers, ...verdicts.matchers, ...mocks.matchers };

  // --- the assertions of the running test ---------------------------------------------------------------------------

  let state = { count: 0, soft: [], floating: new Set() };

  const begin = () => {
    state = { count: 0, soft: [], floating: new Set(), wanted: undefined, wantsAny: false };
  };

  /** The errors about the test's assertions as a whole, in addition to a thrown one. */
  const end = () => {
    const { count, soft, floating, wanted, wantsAny } = state;
    const wrong = [...soft];
    for (const { what, error } of floating) {
      error.message = `${what} is not awaited, so its result is lost: write \`await ${what}\``;
      wrong.push(error);
    }
    if (wanted !== undefined && count !== wanted.count) {
      wanted.error.message = `expected ${wanted.count} assertions, but the test made ${count}`;
      wrong.push(wanted.error);
    }
    if (wantsAny && count === 0) wrong.push(new AssertionError('expected at least one assertion, but the test made none'));
    return wrong;
  };

  /** A promise that records whether the test waits for it. */
  const tracked = (promise, what, error) => {
    const { floating } = state;
    const entry = { what, error };
    floating.add(entry);
    // Without a handler, V8 would report a failed assertion as an unhandled rejection.
    promise.catch(() => {});
    const wait = (method) => (...args) => {
      floating.delete(entry);
      return promise[method](...args);
    };
    return { then: wait('then'), catch: wait('catch'), finally: wait('finally'), [Symbol.toStringTag]: 'Promise' };
  };

  // --- one assertion ------------------------------------------------------------------------------------------------

  /**
   * An error with the place of the assertion. `origin` was created there, because the stack after an await lacks it.
   */
  const failed = (message, how) => {
    if (how.origin === undefined) return new AssertionError(message);
    how.origin.message = message;
    return how.origin;
  };

  /** The error of a failed matcher. */
  const failure = (name, how, actual, args, result) => {
    const { not } = how;
    const said = result.message?.(not)
      ?? (not ? `expected the values to differ, but both are ${short(result.actual ?? args[0])}` : 'the values differ');
    const text = `${said}${result.hint === undefined || not ? '' : ` (${result.hint})`}`;
    const error = failed(how.message === undefined ? text : `${how.message}: ${text}`, how);
    error.matcher = `${not ? 'not.' : ''}${name}`;
    error.wrote = args.length === 0 ? '' : short(args[0]);
    error.differences = not ? [] : (result.differences ?? []);
    error.failure = verdicts.failureOf(actual);
    return error;
  };

  const report = (error, how) => {
    if (!how.soft) throw error;
    state.soft.push(error);
  };

  const judge = (name, how, actual, args) => {
    const settle = (result) => {
      if (Boolean(result.pass) === how.not) report(failure(name, how, actual, args, result), how);
    };
    const result = matchers[name](actual, args, how.promise === 'rejects', how);
    return typeof result?.then === 'function' ? result.then(settle) : settle(result);
  };

  const awaited = async (name, how, actual, args) => {
    let value;
    let rejected = false;
    try {
      value = await (typeof actual === 'function' ? actual() : actual);
    } catch (error) {
      value = error;
      rejected = true;
    }
    if (rejected !== (how.promise === 'rejects')) {
      const error = failed(rejected
        ? `the promise was rejected with ${short(value)}`
        : `the promise was fulfilled with ${short(value)}, not rejected`, how);
      report(error, how);
      return;
    }
    await judge(name, how, value, args);
  };

  const call = (name, how, actual) => (...args) => {
    state.count++;
    if (how.promise === undefined) {
      const result = judge(name, how, actual, args);
      return result === undefined ? undefined : tracked(result, `expect(…).${name}(…)`, new AssertionError());
    }
    const result = awaited(name, { ...how, origin: new AssertionError() }, actual, args);
    return tracked(result, `expect(…).${how.promise}.${how.not ? 'not.' : ''}${name}(…)`, new AssertionError());
  };

  // --- words that are not matchers ----------------------------------------------------------------------------------

  const CHAI = {
    to: 'toBe(…) or toEqual(…)', be: 'toBe(…)', been: 'toHaveBeenCalled()', deep: 'toEqual(…)', have: 'toHaveProperty(…)',
    equal: 'toBe(…)', eql: 'toEqual(…)', include: 'toContain(…)', throw: 'toThrow(…)', is: 'toBe(…)', a: 'toBeTypeOf(…)', an: 'toBeTypeOf(…)',
  };

  const unknown = (key) => {
    if (Object.hasOwn(CHAI, key)) return `expect(…).${key} is Chai's; write expect(…).${CHAI[key]}`;
    const near = nearest(key, Object.keys(matchers));
    const meant = near === undefined ? '; expect.extend({ … }) adds matchers of your own' : `; did you mean ${near}?`;
    return `there is no matcher ${key}${meant}`;
  };

  const expectation = (actual, how) => new Proxy({}, {
    get: (_, key) => {
      if (Object.hasOwn(matchers, key)) return call(key, how, actual);
      if (key === 'not') return expectation(actual, { ...how, not: !how.not });
      if (key === 'resolves' || key === 'rejects') return expectation(actual, { ...how, promise: key });
      // `await` reads `then`, and printers read `toJSON`.
      if (typeof key === 'symbol' || key === 'then' || key === 'toJSON' || key === 'asymmetricMatch') return undefined;
      throw new TypeError(unknown(key));
    },
  });

  const plain = { not: false, soft: false, promise: undefined, message: undefined };
  /** @type {any} */
  const expect = (actual, message) => expectation(actual, { ...plain, message });
  /** An expectation that is retried until it holds. */
  const polled = (body, how, options) => new Proxy({}, {
    get: (_, key) => {
      if (Object.hasOwn(matchers, key)) {
        return (...args) => {
          state.count++;
          const here = { ...how, origin: new AssertionError() };
          const held = waiting.waitFor(async () => judge(key, here, await body(), args), options);
          return tracked(held, `expect.poll(…).${how.not ? 'not.' : ''}${String(key)}(…)`, new AssertionError());
        };
      }
      if (key === 'not') return polled(body, { ...how, not: !how.not }, options);
      if (typeof key === 'symbol' || key === 'then' || key === 'toJSON' || key === 'asymmetricMatch') return undefined;
      throw new TypeError(unknown(key));
    },
  });
  expect.soft = (actual, message) => expectation(actual, { ...plain, message, soft: true });

  // --- `expect.something` -------------------------------------------------------------------------------------------

  const utils = {
    printExpected: print, printReceived: print, stringify: print, iterableEquality: undefined, subsetEquality: undefined,
    EXPECTED_COLOR: String, RECEIVED_COLOR: String, DIM_COLOR: String, BOLD_WEIGHT: String,
    matcherHint: (name, received = 'received', expected = 'expected', { isNot = false } = {}) =>
      `expect(${received})${isNot ? '.not' : ''}.${name}(${expected})`,
    diff: (a, b) => differences(a, b).map((one) => `${one.path}: - ${one.expected} + ${one.actual}`).join('\n'),
    printDiffOrStringify: (a, b) => `expected ${print(a)}, received ${print(b)}`,
  };
  const contextOf = (how) => ({
    isNot: how.not, promise: how.promise ?? '', expand: false, customTesters: [], utils, currentTestName: settings.testName,
    testPath: settings.file, equals: (a, b) => equals(b, a), soft: how.soft,
  });

  const extend = (added) => {
    for (const [name, match] of Object.entries(added)) {
      if (typeof match !== 'function') throw new TypeError(`expect.extend: ${name} is not a function`);
      const adapt = (result) => {
        if (typeof result?.then === 'function') return result.then(adapt);
        if (typeof result !== 'object' || result === null || !('pass' in result)) {
          throw new TypeError(`expect.extend: ${name} has to return { pass, message }`);
        }
        const { pass, message, actual, expected } = result;
        const text = () => (typeof message === 'function' ? message() : message ?? `${name} does not hold`);
        const found = 'actual' in result && 'expected' in result ? differences(expected, actual) : [];
        return { pass, message: text, differences: found };
      };
      matchers[name] = (actual, args, _, how) => adapt(match.call(contextOf(how), actual, ...args));
      const maker = (...args) => new Asymmetric(name,
        (value) => Boolean(match.call(contextOf(plain), value, ...args).pass), `expect.${name}(${args.map(short).join(', ')})`);
      expect[name] = maker;
      expect.not[name] = asymmetric.opposite(name, maker);
    }
  };

  const refuse = (message) => () => {
    throw new TypeError(message);
  };
  Object.assign(expect, asymmetric.makers, {
    not: asymmetric.negated,
    extend,
    toBeOneOf: (list) => new Asymmetric('toBeOneOf', (value) => [...list].some((one) => equals(one, value)), `expect.toBeOneOf(${short([...list])})`),
    assertions: (count) => { state.wanted = { count, error: new AssertionError() }; },
    hasAssertions: () => { state.wantsAny = true; },
    unreachable: (message) => { throw new AssertionError(message ?? 'this line should not be reached'); },
    fail: (message) => { throw new AssertionError(message ?? 'expect.fail() was called'); },
    addEqualityTesters: (added) => equality.addTesters(added),
    getState: () => ({ assertionCalls: state.count, currentTestName: settings.testName, testPath: settings.file }),
    setState: () => {},
    poll: (body, { message = undefined, ...options } = {}) => polled(body, { ...plain, message }, options),
    addSnapshotSerializer: refuse('expect.addSnapshotSerializer is not here: bring the value into the form that you want, then call toMatchSnapshot()'),
    element: refuse('expect.element is not here: there is no page'),
  });

  return { expect, begin, end, verdictText: verdicts.verdictText, AssertionError };
})
