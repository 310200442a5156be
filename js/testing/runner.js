// `describe`, `test` and the hooks: collects the tests while the file loads, then runs them one by one as the engine
// asks for them, so that each has a time limit of its own and one that never ends can be named.
((host, printing, logging, snapshots) => {
  const { short } = printing;
  const tests = [];
  let only = false;
  let loading = true;
  const group = (name, parent, mode) => ({
    name, parent, mode, beforeEach: [], afterEach: [], beforeAll: [], afterAll: [], begun: false, left: 0,
  });
  const root = group('', undefined, undefined);
  let current = root;

  const chain = (of) => {
    const groups = [];
    for (let at = of; at !== undefined; at = at.parent) groups.unshift(at);
    return groups;
  };
  const fullName = (within, name) => [...chain(within).slice(1).map((one) => one.name), name].join(' › ');

  const refuse = (what) => {
    if (!loading) throw new Error(`${what} is called inside a test; call it at the top level or inside describe`);
  };

  const add = (name, body, mode) => {
    refuse('test');
    if (body === undefined && mode !== 'skip') throw new TypeError(`test(${short(name)}) wants a function`);
    if (mode === 'only' || chain(current).some((one) => one.mode === 'only')) only = true;
    const { stack } = new Error();
    tests.push({ name: fullName(current, String(name)), body, mode, group: current, stack });
    for (const one of chain(current)) one.left++;
  };

  const within = (name, body, mode) => {
    refuse('describe');
    const outer = current;
    current = group(String(name), outer, mode);
    try {
      const result = body();
      if (typeof result?.then === 'function') throw new TypeError(`describe(${short(name)}) wants a function that is not async`);
    } finally {
      current = outer;
    }
  };

  const fill = (name, row, index) => {
    const values = Array.isArray(row) ? [...row] : [row];
    let text = String(name).replace(/%[sdifjo#%]/g, (sign) => {
      if (sign === '%%') return '%';
      if (sign === '%#') return String(index);
      const value = values.shift();
      if (sign === '%j') {
        try {
          return JSON.stringify(value);
        } catch {
          // A cycle: what it looks like is enough for a name.
        }
      }
      return typeof value === 'string' ? value : short(value);
    });
    if (typeof row === 'object' && row !== null && !Array.isArray(row)) {
      text = text.replace(/\$([A-Za-z_$][\w$]*(?:\.\w+)*)/g, (whole, path) => {
        const value = path.split('.').reduce((at, key) => at?.[key], row);
        return value === undefined ? whole : typeof value === 'string' ? value : short(value);
      });
    }
    return text;
  };

  const withVariants = (make, withBody) => {
    const variant = (mode) => {
      const f = (name, body) => make(name, body, mode);
      f.each = (rows) => (name, body) => {
        if (!Array.isArray(rows)) throw new TypeError('each wants an array of rows');
        rows.forEach((row, index) => make(
          fill(name, row, index), () => (Array.isArray(row) ? body(...row) : body(row)), mode));
      };
      return f;
    };
    const f = variant(undefined);
    f.only = variant('only');
    f.skip = variant('skip');
    return f;
  };
  const test = withVariants(add);
  const describe = withVariants(within);

  const hook = (kind) => (body) => {
    refuse(kind);
    current[kind].push(body);
  };

  const pattern = (() => {
    if (host.filter === undefined) return undefined;
    try {
      return new RegExp(host.filter);
    } catch {
      return { test: (name) => name.includes(host.filter) };
    }
  })();

  const isSkipped = (one) => {
    const modes = [one.mode, ...chain(one.group).map((at) => at.mode)];
    return modes.includes('skip') || (only && !modes.includes('only'));
  };

  /** Ends loading; the list of tests. */
  const list = () => {
    loading = false;
    return tests.map((one) => ({
      name: one.name,
      skipped: isSkipped(one),
      filtered: pattern !== undefined && !pattern.test(one.name),
      stack: one.stack,
    }));
  };

  const text = (value) => (typeof value === 'string' ? value : undefined);
  const describeError = (thrown) => {
    const seen = Error.isError(thrown)
      ? { name: text(thrown.name) ?? 'Error', message: text(thrown.message) ?? '', stack: text(thrown.stack) }
      : { message: `${short(thrown)} was thrown`, stack: undefined };
    for (const key of ['matcher', 'wrote', 'failure']) seen[key] = text(thrown?.[key]);
    if (Array.isArray(thrown?.differences)) seen.differences = thrown.differences;
    return seen;
  };

  /** Runs one test with its hooks; never rejects. */
  const run = async (index) => {
    const one = tests[index];
    logging.begin();
    snapshots.begin(one.name);
    let error;
    const attempt = async (bodies) => {
      for (const body of bodies) {
        try {
          await body();
        } catch (thrown) {
          error ??= describeError(thrown);
          return;
        }
      }
    };
    const groups = chain(one.group);
    for (const at of groups) {
      if (at.begun) continue;
      at.begun = true;
      await attempt(at.beforeAll);
    }
    if (error === undefined) await attempt(groups.flatMap((at) => at.beforeEach));
    if (error === undefined) await attempt([one.body]);
    await attempt(groups.toReversed().flatMap((at) => at.afterEach));
    for (const at of groups.toReversed()) {
      at.left--;
      if (at.left === 0) await attempt(at.afterAll);
    }
    return JSON.stringify({ error, logs: logging.take() });
  };

  /** The author's functions: what they can reach outlives a test. */
  const functions = () => [...new Set(tests.flatMap((one) => [one.body, ...chain(one.group).flatMap(
    (at) => [...at.beforeAll, ...at.beforeEach, ...at.afterEach, ...at.afterAll])]))];

  const hooks = {};
  for (const kind of ['beforeEach', 'afterEach', 'beforeAll', 'afterAll']) hooks[kind] = hook(kind);
  return { api: { test, it: test, describe, ...hooks }, list, run, functions, add };
})
