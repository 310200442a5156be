// Hints for names that do not exist here: what to use instead.
(() => {
  const INSTEAD = {
    setTimeout: 'nothing here waits for time to pass; vi.useFakeTimers() gives timers, and vi.advanceTimersByTime(…) runs them',
    setInterval: 'nothing here waits for time to pass; vi.useFakeTimers() gives timers, and vi.advanceTimersByTime(…) runs them',
    clearTimeout: 'nothing here waits for time to pass; vi.useFakeTimers() gives timers',
    queueMicrotask: 'write Promise.resolve().then(…)',
    setImmediate: 'nothing here waits for time to pass; vi.useFakeTimers() gives timers',
    require: 'write import x from \'./x.js\' at the top of the file',
    module: 'write export',
    exports: 'write export',
    process: 'tests run in the engine of production, not in Node; credentials are given to transform(event, { credentials })',
    Buffer: 'tests run in the engine of production, not in Node; text is a string',
    __dirname: 'import a file: import data from \'./data.json\' with { type: \'json\' }',
    __filename: 'import a file: import data from \'./data.json\' with { type: \'json\' }',
    window: 'there is no page; write globalThis',
    document: 'there is no page',
    fetch: 'transform(event, { fetch: { \'https://…\': { body: {} } } }) answers what the transformation asks',
    fetchV2: 'transform(event, { fetch: { \'https://…\': { body: {} } } }) answers what the transformation asks',
    geolocation: 'transform(event, { fetch: { \'geolocation 8.8.8.8\': { body: {} } } }) answers what the transformation asks',
    performance: 'write Date.now()',
    fail: 'write expect.unreachable(message)',
    chai: 'write expect(value).toBe(…)',
    sinon: 'write vi.fn() and vi.spyOn(object, name)',
    bench: 'sluicegate bench FILE.js EVENTS measures a transformation',
  };

  /** An error's message, with a hint at what to write instead if one is known. */
  return (name, message) => {
    const missing = name === 'ReferenceError' ? message.match(/^([\w$]+) is not defined$/)?.[1] : undefined;
    return missing !== undefined && Object.hasOwn(INSTEAD, missing) ? `${message}: ${INSTEAD[missing]}` : message;
  };
})
