// The engine's own matchers, for the verdict of an event, and for a list of verdicts.
((printing, equality, values) => {
  const { print, short } = printing;
  const { differences } = equality;
  const { need, isVerdict, textMatches } = values;

  const verdictText = (verdict) => {
    if (verdict.verdict === 'failed') {
      return `it failed: ${verdict.kind}: ${verdict.name === undefined ? '' : `${verdict.name}: `}${verdict.message}`;
    }
    if (verdict.verdict === 'dropped') return 'it was dropped';
    return `it went out as ${verdict.events.length === 1 ? 'one event' : `${verdict.events.length} events`}`;
  };

  /** Combines a list into one verdict: failed if one failed, dropped if all are dropped. */
  const asOne = (name, actual) => {
    const isList = Array.isArray(actual) && actual.length > 0 && actual.every(isVerdict);
    need(isList || isVerdict(actual), `${name} wants a verdict, which transform(event) gives`, actual);
    if (!isList) return actual;
    const failed = actual.find((one) => one.verdict === 'failed');
    if (failed !== undefined) return failed;
    const events = actual.flatMap((one) => one.events);
    return { verdict: actual.every((one) => one.verdict === 'dropped') ? 'dropped' : 'ok', events };
  };

  const toBeDropped = (given) => {
    const actual = asOne('toBeDropped', given);
    const found = actual.verdict === 'ok' ? differences([], actual.events, 'equal', ['events']) : [];
    return {
      pass: actual.verdict === 'dropped',
      message: (not) => (not ? 'the event was dropped' : `the event was not dropped: ${verdictText(actual)}`),
      differences: found,
    };
  };

  const toFailWith = (given, [expected]) => {
    const actual = asOne('toFailWith', given);
    if (actual.verdict !== 'failed') {
      return { pass: false, message: () => `the event did not fail: ${verdictText(actual)}` };
    }
    let found = [];
    const text = actual.name === undefined ? actual.message : `${actual.name}: ${actual.message}`;
    if (expected instanceof RegExp) {
      if (!textMatches(text, expected)) found = [{ path: 'message', expected: short(expected), actual: print(text) }];
    } else if (typeof expected === 'string') {
      found = differences(expected, actual.kind, 'equal', ['kind']);
    } else if (expected !== undefined) {
      const { message, ...rest } = expected;
      found = differences(rest, actual, 'match');
      if (message !== undefined && !textMatches(actual.message, message)) {
        found.push({ path: 'message', expected: short(message), actual: print(actual.message) });
      }
    }
    return {
      pass: found.length === 0,
      message: (not) => (not ? `the event failed so: ${text}` : `the event failed otherwise: ${verdictText(actual)}`),
      differences: found,
    };
  };

  const toEmit = (given, [expected]) => {
    const actual = asOne('toEmit', given);
    const events = Array.isArray(expected) ? expected : [expected];
    if (actual.verdict !== 'ok') {
      const found = actual.verdict === 'dropped' ? differences(events, [], 'equal', ['events']) : [];
      return {
        pass: actual.verdict === 'dropped' && events.length === 0,
        message: () => `nothing went out: ${verdictText(actual)}`,
        differences: found,
      };
    }
    const found = differences(events, actual.events, 'equal', ['events']);
    return { pass: found.length === 0, differences: found };
  };

  /** The stack of the failure that an assertion is about. */
  const failureOf = (actual) => {
    const list = Array.isArray(actual) ? actual : [actual];
    return list.find((one) => isVerdict(one) && one.verdict === 'failed')?.stack;
  };

  return { matchers: { toBeDropped, toFailWith, toEmit }, verdictText, failureOf };
})
