// Puts the parts together inside the isolate of a test file: the globals that a test finds, and what the engine calls.
((host, parts) => {
  const printing = parts.print();
  const logging = parts.logging();
  const equality = parts.equal(printing);
  const snapshots = parts.snapshot(host, printing);
  const expecting = parts.expect(printing, equality, snapshots);
  const running = parts.runner(host, printing, logging, snapshots);
  const transforming = parts.transform(host, logging, parts.fetch());
  const addCases = parts.cases(running, transforming, expecting, equality);

  const written = { logs: true, write: (level, message) => logging.add({ level, message }) };
  const { log, console } = parts.log(written);
  const credentials = new Map();
  const getCredential = (key) => credentials.get(key);
  const globals = {
    ...running.api, expect: expecting.expect, transform: transforming.transform, log, console, getCredential,
  };
  const freeze = parts.lockdown();
  for (const [name, value] of Object.entries(globals)) {
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
  }
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
      return [error ? String(thrown.name) : undefined, error ? String(thrown.message) : String(thrown), error ? thrown.stack : undefined];
    },
  };
})
