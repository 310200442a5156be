// `log(...)` and `console`: the same channel, with a level. They accept any arguments without throwing, and cost
// nothing when logs are not kept.
((host) => {
  const { onDemand } = host;
  const copies = {
    stringify: JSON.stringify, rawJSON: JSON.rawJSON, asText: String, isError: Error.isError, setPrototypeOf: Object.setPrototypeOf,
  };
  let textCode;
  const safely = (value) => {
    if (typeof value === 'string') return value;
    try {
      return (textCode ??= onDemand('log_text')(copies))(value);
    } catch {
      // A stack that is too small.
      return '[unprintable]';
    }
  };

  const writer = ((level) => {
    if (!host.logs) return () => {};
    const { write } = host;
    return (...values) => {
      let line = '';
      for (let i = 0; i < values.length; i++) line += i === 0 ? safely(values[i]) : ` ${safely(values[i])}`;
      write(level, line);
    };
  });

  const log = writer('log');
  const error = writer('error');
  const nothing = () => {};
  // Other functions of `console` write a log line or do nothing, so that code from other hosts does not fail here.
  const console = {
    log, debug: writer('debug'), info: writer('info'), warn: writer('warn'), error,
    trace: log, dir: (value) => log(value), dirxml: log, table: (value) => log(value),
    group: (...label) => { if (label.length > 0) log(...label); },
    groupCollapsed: (...label) => { if (label.length > 0) log(...label); },
    groupEnd: nothing,
    assert: (holds, ...values) => { if (!holds) error('Assertion failed', ...values); },
    count: (label = 'default') => log(label), countReset: nothing,
    time: nothing, timeLog: (label = 'default', ...values) => log(label, ...values), timeEnd: nothing, timeStamp: nothing,
    profile: nothing, profileEnd: nothing, clear: nothing,
  };
  return { log, console };
})
