// Runs the collected tests one by one when the engine asks for them. So each has its own time limit, and a test that
// never ends can be named.
((host, printing, logging, snapshots, collecting, expecting, fixtures, explain, settings) => {
  const { short } = printing;
  const { tests, chain } = collecting;

  const pattern = (() => {
    if (host.filter === undefined) return undefined;
    try {
      return new RegExp(host.filter);
    } catch {
      return { test: (name) => name.includes(host.filter) };
    }
  })();

  const isFiltered = (one) => pattern !== undefined && !pattern.test(one.name) && !pattern.test(one.titles.join(' '));

  /** Ends loading; returns the list of tests. */
  const list = () => {
    collecting.close();
    for (const one of tests) {
      one.filtered = isFiltered(one);
      if (!one.skip && !one.filtered) for (const at of chain(one.group)) at.left++;
    }
    return tests.map((one) => ({
      name: one.name,
      skipped: one.skip,
      todo: one.todo,
      filtered: one.filtered,
      stack: one.stack,
      file: one.file,
      reason: one.reason,
      timeout: timeoutOf(one),
    }));
  };

  /** A test's time limit in milliseconds: its own, that of a group around it, or the setting of the file. */
  const timeoutOf = (one) => {
    const own = [one, ...chain(one.group).toReversed()].find((at) => at.timeout !== undefined);
    const timeout = own?.timeout ?? settings.timeout;
    return timeout > 0 && Number.isFinite(timeout) ? timeout : undefined;
  };

  const text = (value) => (typeof value === 'string' ? value : undefined);
  const describeError = (thrown) => {
    const seen = Error.isError(thrown)
      ? { name: text(thrown.name) ?? 'Error', message: text(thrown.message) ?? '', stack: text(thrown.stack) }
      : { message: `${short(thrown)} was thrown`, stack: undefined };
    seen.message = explain(seen.name, seen.message);
    for (const key of ['matcher', 'wrote', 'failure']) seen[key] = text(thrown?.[key]);
    if (Array.isArray(thrown?.differences)) seen.differences = thrown.differences;
    return seen;
  };

  class Skip {
    constructor(reason) {
      this.reason = reason;
    }
  }

  // --- one test -----------------------------------------------------------------------------------------------------

  /** The argument of a test: Vitest's context, without the parts that this engine does not use. */
  const contextOf = (one, late) => ({
    task: { name: one.titles.at(-1), fullName: one.titles.join(' > '), meta: {}, file: { name: settings.file } },
    expect: expecting.expect,
    skip: (condition, reason) => {
      const [when, why] = typeof condition === 'boolean' ? [condition, reason] : [true, condition];
      if (when) throw new Skip(why);
    },
    annotate: () => {},
    onTestFinished: (act) => { late.finished.push(act); },
    onTestFailed: (act) => { late.failed.push(act); },
  });

  /** Calls a body with Jest's `done` callback: a promise that settles when the callback is called. */
  const withDone = (body) => new Promise((/** @type {(value?: unknown) => void} */ resolve, reject) => {
    const done = (error) => (error === undefined ? resolve() : reject(error));
    done.fail = (error) => reject(error ?? new Error('done.fail() was called'));
    const result = body(done);
    if (typeof result?.then === 'function') result.then(undefined, reject);
  });
  const takesDone = (body) => body.length > 0 && /^(?:async\b\s*)?(?:function\b\s*[\w$]*\s*)?\(?\s*done\b/.test(Function.prototype.toString.call(body));

  const call = (body, context) => (takesDone(body) ? withDone(body) : body(context));

  let running;

  /** Runs a test with its hooks once. */
  const once = async (one, groups, errors) => {
    const late = { finished: [], failed: [] };
    running = late;
    const context = contextOf(one, late);
    let skipped;
    const attempt = async (bodies, wanted = () => true) => {
      for (const body of bodies) {
        if (!wanted()) return;
        try {
          await body();
        } catch (thrown) {
          if (thrown instanceof Skip) skipped = thrown;
          else errors.push(thrown);
          return;
        }
      }
    };
    const fine = () => errors.length === 0 && skipped === undefined;
    expecting.begin();
    const ends = [];
    await attempt(groups.flatMap((at) => at.beforeEach).map((hook) => async () => {
      const end = await call(hook, context);
      if (typeof end === 'function') ends.push(end);
    }), fine);
    if (fine()) {
      const own = [];
      try {
        if (one.fixtures !== undefined) await fixtures.use(one.fixtures, context, one.body);
        else if (one.ofRow) await one.body(one.body.takesContext ? context : undefined);
        else await call(one.body, context);
      } catch (thrown) {
        if (thrown instanceof Skip) skipped = thrown;
        else own.push(thrown);
      }
      own.push(...expecting.end());
      errors.push(...(one.fails && skipped === undefined ? asFailing(own) : own));
    }
    await attempt(groups.toReversed().flatMap((at) => at.afterEach).map((hook) => () => call(hook, context)));
    await attempt(ends.toReversed());
    if (errors.length > 0) await attempt(late.failed.map((act) => () => act(context)));
    await attempt(late.finished.toReversed().map((act) => () => act(context)));
    running = undefined;
    return skipped;
  };

  /** `test.fails`: a test that must fail. */
  const asFailing = (errors) => (errors.length > 0 ? [] : [new expecting.AssertionError('the test is marked with `fails`, but it passes')]);

  /** Runs one test with its hooks; never rejects. */
  const run = async (index) => {
    const one = tests[index];
    logging.begin();
    snapshots.begin(one.titles);
    settings.testName = one.titles.join(' > ');
    const groups = chain(one.group);
    let errors = [];
    const attempt = async (act) => {
      try {
        return await act();
      } catch (thrown) {
        errors.push(thrown);
        return undefined;
      }
    };
    for (const at of groups) {
      if (at.begun) continue;
      at.begun = true;
      for (const hook of at.beforeAll) {
        const end = await attempt(() => call(hook, {}));
        if (typeof end === 'function') at.ends.push(end);
      }
      if (errors.length > 0) at.broken = errors[0];
    }
    const broken = groups.find((at) => at.broken !== undefined);
    if (errors.length === 0 && broken !== undefined) errors.push(broken.broken);
    let skipped;
    if (errors.length === 0) {
      const tries = 1 + (one.retry ?? settings.retry ?? 0);
      for (let at = 0; at < tries && (at === 0 || errors.length > 0); at++) {
        errors = [];
        for (let turn = 0; turn <= (one.repeats ?? 0) && errors.length === 0; turn++) skipped = await once(one, groups, errors);
      }
    }
    for (const at of groups.toReversed()) {
      at.left--;
      if (at.left === 0) for (const hook of [...at.afterAll, ...at.ends.toReversed()]) await attempt(() => call(hook, {}));
    }
    const [error, ...others] = errors.map(describeError);
    const why = skipped === undefined ? undefined : skipped.reason ?? '';
    return JSON.stringify({ error, others, skipped: error === undefined ? why : undefined, logs: logging.take() });
  };

  const late = (kind, name) => (act) => {
    if (running === undefined) throw new Error(`${name} is called inside a test`);
    running[kind].push(act);
  };
  const globals = { onTestFinished: late('finished', 'onTestFinished'), onTestFailed: late('failed', 'onTestFailed') };

  /** The author's functions: the variables that they can reach outlive a test. */
  const functions = () => [...new Set(tests.flatMap((one) => [one.body, ...chain(one.group).flatMap(
    (at) => [...at.beforeAll, ...at.beforeEach, ...at.afterEach, ...at.afterAll])]))].filter((one) => one !== undefined);

  return { list, run, functions, globals };
})
