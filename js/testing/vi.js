// `vi` as in Vitest, and `jest` as in Jest. Functions that cannot exist here throw an error that names a replacement.
((printing, nearest, mocking, clock, waiting, settings) => {
  const { isMock } = printing;

  const absent = (name, instead) => () => {
    throw new TypeError(`${name} is not here: ${instead}`);
  };
  const MODULES = 'the modules of a transformation run as they are, in an engine of their own. Give transform(event, …) '
    + 'what surrounds the code: { fetch, credentials, metadata, now, seed }; or spy on an object with spyOn';
  const ENVIRONMENT = 'code has no environment. Give transform(event, { credentials: { key: value } }) what getCredential answers';

  const stubbed = new Map();
  const stubGlobal = (name, value) => {
    const before = Object.getOwnPropertyDescriptor(globalThis, name);
    if (before !== undefined && !before.configurable) {
      throw new TypeError(`stubGlobal: ${String(name)} is frozen, as in production`
        + `${name === 'Date' ? '; use setSystemTime(…)' : name === 'Math' ? '; use spyOn(Math, \'random\')' : ''}`);
    }
    if (!stubbed.has(name)) stubbed.set(name, before);
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: true });
  };
  const unstubAllGlobals = () => {
    for (const [name, before] of stubbed) {
      if (before === undefined) delete globalThis[name];
      else Object.defineProperty(globalThis, name, before);
    }
    stubbed.clear();
  };

  /** A copy of an object in which every function is a mock. */
  const mockObject = (value, seen = new Map()) => {
    if (typeof value === 'function') return isMock(value) ? value : mocking.create(undefined, { name: value.name });
    if (typeof value !== 'object' || value === null) return value;
    if (seen.has(value)) return seen.get(value);
    const made = Array.isArray(value) ? [] : {};
    seen.set(value, made);
    for (const key of Object.keys(value)) made[key] = mockObject(value[key], seen);
    return made;
  };

  const setTestTimeout = (milliseconds) => { settings.timeout = Number(milliseconds); };
  const known = (library, api) => {
    const self = new Proxy(api, {
      get: (object, key) => {
        if (Reflect.has(object, key) || typeof key === 'symbol' || key === 'then' || key === 'toJSON') return object[key];
        const near = nearest(key, Object.keys(object));
        throw new TypeError(`there is no ${library}.${key}${near === undefined ? '' : `; did you mean ${near}?`}`);
      },
    });
    return self;
  };

  const shared = (self) => ({
    ...chained(clock.api, self),
    spyOn: mocking.spyOn,
    isMockFunction: isMock,
    clearAllMocks: () => { mocking.clearAll(); return self(); },
    resetAllMocks: () => { mocking.resetAll(); return self(); },
    restoreAllMocks: () => { mocking.restoreAll(); return self(); },
    mocked: (value) => value,
  });
  /** Functions that return `vi` or `jest` itself instead of undefined. */
  const chained = (functions, self) => Object.fromEntries(Object.entries(functions).map(([name, act]) => [name, (...args) => {
    const result = act(...args);
    return result === undefined ? self() : result;
  }]));

  const forVitest = () => {
    const self = () => vi;
    const vi = known('vi', {
      ...shared(self),
      fn: (act) => mocking.create(act),
      mockObject,
      stubGlobal: (name, value) => { stubGlobal(name, value); return vi; },
      unstubAllGlobals: () => { unstubAllGlobals(); return vi; },
      hoisted: (make) => make(),
      ...waiting,
      setConfig: ({ testTimeout = undefined } = {}) => { if (testTimeout !== undefined) setTestTimeout(testTimeout); },
      resetConfig: () => { settings.timeout = undefined; },
      resetModules: () => vi,
      unmock: () => vi,
      doUnmock: () => vi,
      mock: absent('vi.mock', MODULES),
      doMock: absent('vi.doMock', MODULES),
      importActual: absent('vi.importActual', 'import it at the top of the file'),
      importMock: absent('vi.importMock', MODULES),
      dynamicImportSettled: async () => {},
      stubEnv: absent('vi.stubEnv', ENVIRONMENT),
      unstubAllEnvs: () => vi,
    });
    return vi;
  };

  const forJest = () => {
    const self = () => jest;
    const fn = (act) => mocking.create(act, { name: 'jest.fn()', keeps: false });
    const replaceProperty = (object, key, value) => {
      const before = Object.getOwnPropertyDescriptor(object, key);
      if (before === undefined) throw new TypeError(`replaceProperty: ${String(key)} is not a property of the object`);
      const replace = (now) => Object.defineProperty(object, key, { ...before, value: now });
      replace(value);
      const replaced = { replaceValue: (now) => { replace(now); return replaced; }, restore: () => Object.defineProperty(object, key, before) };
      return replaced;
    };
    const jest = known('jest', {
      ...shared(self),
      fn,
      replaceProperty,
      now: () => Date.now(),
      getRealSystemTime: clock.api.getRealSystemTime,
      setTimeout: (milliseconds) => { setTestTimeout(milliseconds); return jest; },
      retryTimes: (times) => { settings.retry = times; return jest; },
      createMockFromModule: absent('jest.createMockFromModule', MODULES),
      resetModules: () => jest,
      unmock: () => jest,
      dontMock: () => jest,
      mock: absent('jest.mock', MODULES),
      doMock: absent('jest.doMock', MODULES),
      unstable_mockModule: absent('jest.unstable_mockModule', MODULES),
      isolateModules: absent('jest.isolateModules', 'each test file has an isolate of its own'),
      requireActual: absent('jest.requireActual', 'import it at the top of the file'),
      requireMock: absent('jest.requireMock', MODULES),
      advanceTimersToNextFrame: absent('jest.advanceTimersToNextFrame', 'there is no page; use advanceTimersByTime(…)'),
      useRealTimers: () => { clock.api.useRealTimers(); return jest; },
    });
    return jest;
  };

  return { vi: forVitest(), jest: forJest() };
})
