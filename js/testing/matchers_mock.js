// Matchers for mock functions: how they were called, and what they returned.
((printing, equality, values) => {
  const { short, isMock } = printing;
  const { differences, equals } = equality;
  const { need } = values;

  const count = (number, word = 'time') => (number === 1 ? `one ${word}` : `${number} ${word}s`);
  const argsText = (args) => `(${args.map(short).join(', ')})`;
  const callsText = (calls) => (calls.length === 0
    ? 'it was not called'
    : `it was called ${count(calls.length)}: ${calls.slice(0, 5).map(argsText).join(', ')}${calls.length > 5 ? ', …' : ''}`);

  const stateOf = (actual, name) => {
    need(isMock(actual), `${name} wants a mock function, made by vi.fn(), jest.fn() or spyOn`, actual);
    return actual.mock;
  };

  /** The differences between the expected arguments and those of one call. */
  const argDifferences = (expected, args) => (args === undefined ? [] : differences(expected, args, 'equal', ['arguments']));

  const byCalls = (name, test, wanted) => (actual, args) => {
    const { calls } = stateOf(actual, name);
    return {
      pass: test(calls, ...args),
      message: (not) => `expected the mock ${not ? 'not ' : ''}to be called${wanted(...args)}; ${callsText(calls)}`,
    };
  };

  const toHaveBeenCalledWith = (actual, expected) => {
    const { calls } = stateOf(actual, 'toHaveBeenCalledWith');
    return {
      pass: calls.some((args) => equals(expected, args)),
      message: (not) => `expected the mock ${not ? 'not ' : ''}to be called with ${argsText(expected)}; ${callsText(calls)}`,
      differences: calls.length === 1 ? argDifferences(expected, calls[0]) : [],
    };
  };

  const oneCall = (name, which, pick) => (actual, args) => {
    const { calls } = stateOf(actual, name);
    const { call, expected } = pick(calls, args);
    return {
      pass: call !== undefined && equals(expected, call),
      message: (not) => `expected ${which(args)} ${not ? 'not ' : ''}to be with ${argsText(expected)}; ${callsText(calls)}`,
      differences: argDifferences(expected, call),
    };
  };
  const last = oneCall('toHaveBeenLastCalledWith', () => 'the last call', (calls, args) => ({ call: calls.at(-1), expected: args }));
  const nth = oneCall('toHaveBeenNthCalledWith', ([n]) => `call ${n}`, (calls, [n, ...args]) => ({ call: calls[n - 1], expected: args }));

  const toHaveBeenCalledExactlyOnceWith = (actual, expected) => {
    const { calls } = stateOf(actual, 'toHaveBeenCalledExactlyOnceWith');
    return {
      pass: calls.length === 1 && equals(expected, calls[0]),
      message: (not) => `expected ${not ? 'anything but ' : ''}exactly one call, with ${argsText(expected)}; ${callsText(calls)}`,
      differences: calls.length === 1 ? argDifferences(expected, calls[0]) : [],
    };
  };

  const inOrder = (name, word, before) => (actual, [other]) => {
    const mine = stateOf(actual, name).invocationCallOrder;
    const theirs = stateOf(other, name).invocationCallOrder;
    const pass = mine.length > 0 && theirs.length > 0 && (before ? mine[0] < theirs.at(-1) : mine.at(-1) > theirs[0]);
    return { pass, message: (not) => `expected the mock ${not ? 'not ' : ''}to be called ${word} the other` };
  };

  // --- returned values ----------------------------------------------------------------------------------------------

  /** The values of successful calls: the returned ones, or with `settled` those of fulfilled promises. */
  const ended = (settled) => (actual, name) => {
    const state = stateOf(actual, name);
    const type = settled ? 'fulfilled' : 'return';
    return (settled ? state.settledResults : state.results).map((one) => (one?.type === type ? { value: one.value } : undefined));
  };
  const returning = (settled) => {
    const word = settled ? 'Resolved' : 'Returned';
    const verb = settled ? 'resolve' : 'return';
    const list = ended(settled);
    const text = (results) => `its results: ${results.map((one) => (one === undefined ? '(none)' : short(one.value))).join(', ') || 'none'}`;
    const check = (name, test, wanted) => (actual, args) => {
      const results = list(actual, name);
      return {
        pass: test(results, ...args),
        message: (not) => `expected the mock ${not ? 'not ' : ''}to ${verb}${wanted(...args)}; ${text(results)}`,
      };
    };
    const is = (one, value) => one !== undefined && equals(value, one.value);
    return {
      [`toHave${word}`]: check(`toHave${word}`, (all) => all.some(Boolean), () => ''),
      [`toHave${word}Times`]: check(`toHave${word}Times`, (all, n) => all.filter(Boolean).length === n, (n) => ` ${count(n)}`),
      [`toHave${word}With`]: check(`toHave${word}With`, (all, value) => all.some((one) => is(one, value)), (value) => ` ${short(value)}`),
      [`toHaveLast${word}With`]: check(`toHaveLast${word}With`, (all, value) => is(all.at(-1), value), (value) => ` ${short(value)} last`),
      [`toHaveNth${word}With`]: check(`toHaveNth${word}With`, (all, n, value) => is(all[n - 1], value), (n, value) => ` ${short(value)} in call ${n}`),
    };
  };

  const matchers = {
    toHaveBeenCalled: byCalls('toHaveBeenCalled', (calls) => calls.length > 0, () => ''),
    toHaveBeenCalledOnce: byCalls('toHaveBeenCalledOnce', (calls) => calls.length === 1, () => ' once'),
    toHaveBeenCalledTimes: byCalls('toHaveBeenCalledTimes', (calls, n) => calls.length === n, (n) => ` ${count(n)}`),
    toHaveBeenCalledWith,
    toHaveBeenLastCalledWith: last,
    toHaveBeenNthCalledWith: nth,
    toHaveBeenCalledExactlyOnceWith,
    toHaveBeenCalledBefore: inOrder('toHaveBeenCalledBefore', 'before', true),
    toHaveBeenCalledAfter: inOrder('toHaveBeenCalledAfter', 'after', false),
    ...returning(false),
    ...returning(true),
  };
  // Older names of the same matchers.
  const aliases = {
    toBeCalled: 'toHaveBeenCalled', toBeCalledTimes: 'toHaveBeenCalledTimes', toBeCalledWith: 'toHaveBeenCalledWith',
    lastCalledWith: 'toHaveBeenLastCalledWith', nthCalledWith: 'toHaveBeenNthCalledWith', toReturn: 'toHaveReturned',
    toReturnTimes: 'toHaveReturnedTimes', toReturnWith: 'toHaveReturnedWith', lastReturnedWith: 'toHaveLastReturnedWith',
    nthReturnedWith: 'toHaveNthReturnedWith',
  };
  for (const [alias, name] of Object.entries(aliases)) matchers[alias] = matchers[name];
  return { matchers };
})
