// `log(...)` and `console`: the same channel, with a level. They never throw, whatever their arguments, and cost
// nothing when logs are not kept.
((host) => {
  const { stringify, rawJSON } = JSON;
  const asText = String;
  const isError = Error.isError;
  const { setPrototypeOf } = Object;

  const text = (value) => {
    switch (typeof value) {
      case 'string':
        return value;
      case 'function':
        return `[Function: ${value.name || 'anonymous'}]`;
      case 'object': {
        if (value === null) return 'null';
        if (isError(value)) return asText(value.stack ?? value);
        return stringify(value, (_key, inner) => (typeof inner === 'bigint' ? rawJSON(asText(inner)) : inner)) ?? asText(value);
      }
      default:
        return asText(value);
    }
  };

  const safely = (value) => {
    try {
      return text(value);
    } catch {
      // A cycle, or a getter that throws.
      try {
        const seen = setPrototypeOf([], null);
        return stringify(value, function (_key, inner) {
          if (typeof inner !== 'object' || inner === null) return typeof inner === 'bigint' ? rawJSON(asText(inner)) : inner;
          while (seen.length > 0 && seen[seen.length - 1] !== this) seen.length--;
          for (let i = 0; i < seen.length; i++) if (seen[i] === inner) return '[Circular]';
          seen[seen.length] = inner;
          return inner;
        });
      } catch {
        return '[unprintable]';
      }
    }
  };

  const writer = (level) => {
    if (!host.logs) return () => {};
    const { write } = host;
    return (...values) => {
      let line = '';
      for (let i = 0; i < values.length; i++) line += i === 0 ? safely(values[i]) : ` ${safely(values[i])}`;
      write(level, line);
    };
  };

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
