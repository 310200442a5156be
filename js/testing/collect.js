// `describe`, `test` and the hooks: their calls while a test file is loaded become a list of tests.
((printing, rows, fixtures) => {
  const { short } = printing;
  const tests = [];
  let loading = true;
  const KINDS = ['beforeEach', 'afterEach', 'beforeAll', 'afterAll'];
  const group = (name, parent, flags) => ({
    name, parent, ...flags, beforeEach: [], afterEach: [], beforeAll: [], afterAll: [], begun: false, left: 0, ends: [],
  });
  const root = group('', undefined, {});
  let current = root;

  /** The groups around a test, the outermost first. */
  const chain = (of) => {
    const groups = [];
    for (let at = of; at !== undefined; at = at.parent) groups.unshift(at);
    return groups;
  };
  const titles = (within, name) => [...chain(within).slice(1).map((one) => one.name), name];

  const refuse = (what) => {
    if (!loading) throw new Error(`${what} is called inside a test; call it at the top level or inside describe`);
  };
  const nameOf = (name) => (typeof name === 'function' ? name.name || 'anonymous' : String(name));

  /** The body and the options of a test or group, in either order. */
  const readArguments = (what, name, given) => {
    const bodies = given.filter((one) => typeof one === 'function');
    const options = {};
    for (const one of given) {
      if (typeof one === 'number') options.timeout = one;
      else if (typeof one === 'object' && one !== null) Object.assign(options, one);
      else if (typeof one !== 'function' && one !== undefined) {
        throw new TypeError(`${what}(${short(name)}) takes a function, options and a timeout, not ${short(one)}`);
      }
    }
    const { timeout } = options;
    if (timeout !== undefined && !(timeout >= 0)) throw new TypeError(`${what}(${short(name)}): the timeout is a number of milliseconds`);
    return { body: bodies[0], options };
  };

  /** Marks the groups around a test with `only`: the `only` of a marked group does not apply to all of its tests. */
  const noteOnly = (flags) => {
    if (flags.only) for (const one of chain(current)) one.onlyInside = true;
  };

  const add = (name, body, flags) => {
    refuse('test');
    noteOnly(flags);
    const { stack } = new Error();
    const shown = nameOf(name);
    tests.push({ name: titles(current, shown).join(' › '), titles: titles(current, shown), body, ...flags, group: current, stack });
  };

  const within = (name, body, flags) => {
    refuse('describe');
    noteOnly(flags);
    const outer = current;
    current = group(nameOf(name), outer, flags);
    try {
      const result = body();
      if (typeof result?.then === 'function') {
        throw new TypeError(`describe(${short(name)}) wants a function that is not async: prepare things in beforeAll`);
      }
    } finally {
      current = outer;
    }
  };

  const register = {
    test: (name, given, flags) => {
      const { body, options } = readArguments('test', name, given);
      if (body === undefined && !flags.skip && !flags.todo) {
        if (given.length > 0) throw new TypeError(`test(${short(name)}) wants a function`);
        add(name, undefined, { ...flags, todo: true });
      } else add(name, body, { ...flags, ...options });
    },
    describe: (name, given, flags) => {
      const { body, options } = readArguments('describe', name, given);
      if (body === undefined) add(name, undefined, { todo: true });
      else within(name, body, { ...flags, ...options });
    },
  };

  /** `test` or `describe` with flags: each property after the dot returns the same function with one more flag. */
  const api = (kind, flags) => {
    /** @type {any} */
    const make = (name, ...given) => register[kind](name, given, flags);
    const word = (name, more) => Object.defineProperty(make, name, { get: () => api(kind, { ...flags, ...more }), configurable: true });
    for (const name of ['only', 'skip', 'todo']) word(name, { [name]: true });
    // Tests run one after the other, so these change nothing.
    for (const name of ['concurrent', 'sequential', 'shuffle']) word(name, {});
    if (kind === 'test') for (const name of ['fails', 'failing']) word(name, { fails: true });
    const over = (call) => (table, ...values) => (name, ...given) => {
      const { body, options } = readArguments('each', name, given);
      rows.rowsOf(table, values).forEach((row, index) => {
        const bound = body === undefined ? [] : [call(body, row)];
        register[kind](rows.fill(nameOf(name), row, index), [...bound, options], { ...flags, ofRow: true });
      });
    };
    // `for` passes the row as one argument, and the test's context after it.
    make.each = over((body, row) => (Array.isArray(row) ? () => body(...row) : () => body(row)));
    make.for = over((body, row) => Object.assign((context) => body(row, context), { takesContext: true }));
    make.skipIf = (condition) => api(kind, condition ? { ...flags, skip: true } : flags);
    make.runIf = (condition) => api(kind, condition ? flags : { ...flags, skip: true });
    if (kind === 'test') make.extend = (...added) => Object.assign(api(kind, { ...flags, fixtures: fixtures.extend(flags.fixtures ?? {}, ...added) }), hooks);
    return make;
  };

  const hooks = {};
  for (const kind of KINDS) {
    hooks[kind] = (body) => {
      refuse(kind);
      if (typeof body !== 'function') throw new TypeError(`${kind} wants a function`);
      current[kind].push(body);
    };
  }
  /** @type {any} */
  const describe = api('describe', {});
  /** @type {any} */
  const test = Object.assign(api('test', {}), hooks, { describe });

  const isTodo = (one) => [one, ...chain(one.group)].some((at) => at.todo);
  const isSkipped = (one) => [one, ...chain(one.group)].some((at) => at.skip || at.todo);
  /** Whether a test runs if any test or group has `only`: its own flag, or that of a group without `only` inside. */
  const isChosen = (one) => one.only || chain(one.group).some((at) => at.only && !at.onlyInside);

  /** Ends loading. */
  const close = () => {
    loading = false;
    const some = root.onlyInside === true;
    for (const one of tests) {
      one.todo = isTodo(one);
      one.skip = isSkipped(one) || (some && !isChosen(one));
    }
  };

  const globals = {
    test, it: test, describe, suite: describe, xit: test.skip, xtest: test.skip, fit: test.only, xdescribe: describe.skip,
    fdescribe: describe.only, ...hooks,
  };
  return { globals, tests, chain, close, add };
})
