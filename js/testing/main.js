// Connects the parts inside the isolate of a test file: the globals for a test, and the functions that the engine
// calls.
((host, parts) => {
  /** The settings of the running test and of `vi.setConfig`, for the parts that need them. */
  const settings = { file: host.file, testName: undefined, timeout: undefined, retry: undefined };
  const clock = parts.clock();
  const hooks = clock.install();
  const waiting = parts.waiting(clock.api);
  const printing = parts.print();
  const linewise = parts.lines();
  const logging = parts.logging();
  const equality = parts.equal(printing, linewise);
  const snapshots = parts.snapshot(host, parts.pretty(printing), linewise, equality, (path) => host.read?.(path));
  const { nearest } = parts.nearest();
  const mocking = parts.mock(printing, hooks);
  const values = parts.matchers(printing, equality, snapshots);
  const verdicts = parts.matchersVerdict(printing, equality, values);
  const mocks = parts.matchersMock(printing, equality, values);
  const asymmetric = parts.asymmetric(printing, equality, values);
  const expecting = parts.expect(printing, equality, nearest, values, verdicts, mocks, asymmetric, waiting, settings);
  const fixtures = parts.fixtures();
  const collecting = parts.collect(printing, parts.rows(printing), fixtures);
  const running = parts.run(host, printing, logging, snapshots, collecting, expecting, fixtures, parts.hints(), settings);
  const transforming = parts.transform(host, logging, parts.fetch(), clock);
  const addCases = parts.cases(collecting, transforming, expecting, equality);
  const { vi, jest } = parts.vi(printing, nearest, mocking, clock, waiting, settings);

  const written = { logs: true, write: (level, message) => logging.add({ level, message }) };
  const { log, console } = parts.log(written);
  const credentials = new Map();
  const getCredential = (key) => credentials.get(key);
  const globals = {
    ...collecting.globals, ...running.globals, ...parts.assert(expecting, nearest), expect: expecting.expect,
    transform: transforming.transform, vi, vitest: vi, jest, log, console, getCredential, global: globalThis,
  };
  const { close, ready } = parts.lockdown(parts.builtIns({ legacy: false }));
  // Before the other globals: tests may replace those.
  const freeze = ready([]);
  parts.web(host, close);
  for (const [name, value] of Object.entries(globals)) {
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
  }
  // The values of `import … from 'vitest'`: taken now, before the author can change the globals.
  Object.defineProperty(globalThis, 'sluicegate:api', { value: globals });
  const { list, run, functions } = running;
  return {
    addCases: (text) => addCases(JSON.parse(text)),
    list: () => {
      freeze();
      return JSON.stringify(list());
    },
    run,
    functions,
    finish: () => JSON.stringify(snapshots.finish()),
    describe: (thrown) => {
      const error = Error.isError(thrown);
      const name = error ? String(thrown.name) : undefined;
      const message = error ? String(thrown.message) : String(thrown);
      return [name, error ? parts.hints()(name, message) : message, error ? thrown.stack : undefined];
    },
  };
})
