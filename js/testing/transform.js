// `transform(event, options)`: runs one event through the transformation, in a separate engine with the driver,
// lockdown and limits of production, and returns its verdict. `transform.batch(events)` passes several events at once,
// as `transformBatch` gets them, and returns a verdict for each.
((host, logging, recording, clock) => {
  const json = (event) => {
    if (typeof event === 'string') return event;
    const text = JSON.stringify(event);
    if (text === undefined) throw new TypeError('transform(event) wants an event, an object');
    return text;
  };

  const time = (now) => {
    if (now === undefined) return clock.isSet() ? Date.now() : undefined;
    const at = new Date(now).getTime();
    if (Number.isNaN(at)) throw new TypeError(`transform: now is not a time: ${String(now)}`);
    return at;
  };

  const OPTIONS = ['metadata', 'credentials', 'now', 'seed', 'fetch'];
  const inCode = (name) => `add it: transform(event, { fetch: { ${JSON.stringify(name)}: { status: 200, body: {} } } })`;
  let running = false;

  const run = (of, events, options = /** @type {any} */ ({}), add = inCode) => {
    if (running) throw new TypeError('transform cannot be called by the function that answers its requests');
    if (typeof options !== 'object' || options === null) {
      throw new TypeError(`transform(event, options): the options are an object with ${OPTIONS.join(', ')}`);
    }
    for (const key of Object.keys(options)) {
      if (!OPTIONS.includes(key)) throw new TypeError(`transform: there is no option ${key}; there are ${OPTIONS.join(', ')}`);
    }
    const request = {
      of,
      events: events.map(json),
      metadata: options.metadata === undefined ? undefined : JSON.stringify(options.metadata),
      credentials: options.credentials,
      now: time(options.now),
      seed: options.seed,
    };
    const { ask, settle } = recording(options.fetch, add);
    let text;
    running = true;
    try {
      text = host.transform(JSON.stringify(request), ask);
    } finally {
      running = false;
    }
    settle();
    const { error, verdicts, cost } = JSON.parse(text);
    if (error !== undefined) throw Object.assign(new Error(error), { name: 'TransformationError' });
    for (const verdict of verdicts) {
      for (const line of verdict.logs) logging.add(line);
    }
    return { verdicts, cost };
  };

  const one = (of, event, options) => {
    if (Array.isArray(event)) {
      throw new TypeError('transform(event) takes one event; transform.batch([…]) takes several, and gives a verdict for each');
    }
    return run(of, [event], options).verdicts[0];
  };
  const several = (of, events, options) => {
    if (!Array.isArray(events) || events.length === 0) throw new TypeError('transform.batch(events) wants a list of events');
    return run(of, events, options).verdicts;
  };
  const bound = (of) => {
    const transform = (event, options) => one(of, event, options);
    transform.batch = (events, options) => several(of, events, options);
    return transform;
  };
  /** @type {any} */
  const transform = bound(undefined);
  transform.of = (path) => bound(String(path));
  return { transform, run };
})
