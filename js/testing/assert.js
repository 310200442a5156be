// `assert`, as in Vitest (Chai) and Node: each function calls a matcher of `expect`. Also the assertions about types,
// which `tsc --noEmit` checks and a run does not.
((expecting, nearest) => {
  const { expect, AssertionError } = expecting;

  const said = (message) => (Error.isError(message) ? message.message : message);
  const is = (name, ...fixed) => (actual, message) => expect(actual, said(message))[name](...fixed);
  const not = (name, ...fixed) => (actual, message) => expect(actual, said(message)).not[name](...fixed);
  const with1 = (name) => (actual, expected, message) => expect(actual, said(message))[name](expected);
  const without1 = (name) => (actual, expected, message) => expect(actual, said(message)).not[name](expected);
  const loosely = (wanted) => (actual, expected, message) => {
    // eslint-disable-next-line eqeqeq
    if ((actual == expected) !== wanted) expect(actual, said(message))[wanted ? 'toBe' : 'toEqual'](expected);
  };

  const assert = (value, message) => expect(value, said(message)).toBeTruthy();
  const has = (object, key, message) => expect(object, said(message)).toHaveProperty(key);
  const includes = (list, item, message) => expect(list, said(message)).toContain(item);
  const throws = (body, expected, message) => expect(body, said(message)).toThrow(expected);
  Object.assign(assert, {
    ok: assert,
    isOk: assert,
    notOk: is('toBeFalsy'),
    isNotOk: is('toBeFalsy'),
    equal: loosely(true),
    notEqual: (actual, expected, message) => expect(actual, said(message)).not.toBe(expected),
    strictEqual: with1('toBe'),
    notStrictEqual: without1('toBe'),
    deepEqual: with1('toEqual'),
    notDeepEqual: without1('toEqual'),
    deepStrictEqual: with1('toStrictEqual'),
    notDeepStrictEqual: without1('toStrictEqual'),
    isTrue: is('toBe', true),
    isFalse: is('toBe', false),
    isNull: is('toBeNull'),
    isNotNull: not('toBeNull'),
    isUndefined: is('toBeUndefined'),
    isDefined: is('toBeDefined'),
    isNaN: is('toBeNaN'),
    exists: not('toBeNullable'),
    notExists: is('toBeNullable'),
    isArray: is('toBeInstanceOf', Array),
    isObject: is('toBeInstanceOf', Object),
    isString: is('toBeTypeOf', 'string'),
    isNumber: is('toBeTypeOf', 'number'),
    isBoolean: is('toBeTypeOf', 'boolean'),
    isFunction: is('toBeTypeOf', 'function'),
    typeOf: with1('toBeTypeOf'),
    instanceOf: with1('toBeInstanceOf'),
    isAbove: with1('toBeGreaterThan'),
    isAtLeast: with1('toBeGreaterThanOrEqual'),
    isBelow: with1('toBeLessThan'),
    isAtMost: with1('toBeLessThanOrEqual'),
    match: with1('toMatch'),
    doesNotMatch: without1('toMatch'),
    notMatch: without1('toMatch'),
    include: includes,
    notInclude: without1('toContain'),
    deepInclude: (actual, part, message) => (Array.isArray(actual)
      ? expect(actual, said(message)).toContainEqual(part)
      : expect(actual, said(message)).toMatchObject(part)),
    lengthOf: with1('toHaveLength'),
    property: has,
    notProperty: without1('toHaveProperty'),
    propertyVal: (object, key, value, message) => expect(object, said(message)).toHaveProperty(key, value),
    throws,
    throw: throws,
    doesNotThrow: (body, message) => expect(body, said(message)).not.toThrow(),
    rejects: (promise, expected) => expect(promise).rejects.toThrow(expected),
    doesNotReject: (promise) => expect(promise).resolves.toSatisfy(() => true),
    oneOf: with1('toBeOneOf'),
    closeTo: (actual, expected, delta, message) =>
      expect(Math.abs(actual - expected), said(message)).toBeLessThanOrEqual(delta),
    fail: (message) => { throw new AssertionError(said(message) ?? 'assert.fail() was called'); },
  });
  const strict = new Proxy(assert, {
    get: (object, key) => {
      if (key in object || typeof key === 'symbol' || key === 'then' || key === 'toJSON') return object[key];
      const near = nearest(key, Object.keys(object));
      throw new TypeError(`there is no assert.${key}; ${near === undefined ? 'write expect(…)' : `did you mean ${near}?`}`);
    },
  });

  /** Every property and call returns the object itself: types do not exist when the code runs. */
  const anything = new Proxy(() => {}, { get: (_, key) => (key === 'then' ? undefined : anything), apply: () => anything });
  return { assert: strict, expectTypeOf: () => anything, assertType: () => {} };
})
