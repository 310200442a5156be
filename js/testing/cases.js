// Tests as data: each case has events, the options of their run, and the expected result. The runner and the matchers
// are the same as for tests in JavaScript.
((collecting, transforming, expecting, equality) => {
  const { AssertionError, verdictText } = expecting;

  const refuse = (message, differences = [], verdict = undefined) => {
    const error = new AssertionError(message);
    error.differences = differences;
    error.failure = verdict?.stack;
    throw error;
  };

  const inFile = (name) => `add it to the case: "fetch": {${JSON.stringify(name)}: {"status": 200, "body": {}}}`;

  const check = (one) => {
    const { verdicts, cost } = transforming.run(one.of, one.events, one.options, inFile);
    const { expect } = one;
    const failure = verdicts.find((verdict) => verdict.verdict === 'failed');
    if (expect.failure !== undefined) {
      if (failure === undefined) refuse('expected a failure, but the event did not fail');
      const { message, ...rest } = expect.failure;
      const found = equality.differences(rest, failure, 'match');
      const wanted = message?.startsWith('/') && message.endsWith('/') ? new RegExp(message.slice(1, -1)) : message;
      const matches = wanted === undefined
        || (wanted instanceof RegExp ? wanted.test(failure.message) : failure.message.includes(wanted));
      if (!matches) found.push({ path: 'message', expected: JSON.stringify(message), actual: JSON.stringify(failure.message) });
      if (found.length > 0) refuse(`the event failed otherwise: ${verdictText(failure)}`, found, failure);
    } else {
      if (failure !== undefined) refuse(verdictText(failure).replace('it', 'the event'), [], failure);
      const out = verdicts.flatMap((verdict) => verdict.events);
      if (expect.events !== undefined) {
        const found = equality.differences(expect.events, out, 'equal', ['events']);
        if (found.length > 0) {
          refuse(expect.events.length === 0 ? 'expected a drop, but events went out' : out.length === 0
            ? 'nothing went out: the event was dropped' : 'the events differ', found);
        }
      }
    }
    for (const [what, limit, unit] of [['cpu', one.budget?.cpu, 'ns'], ['heap', one.budget?.heap, 'bytes'], ['output', one.budget?.output, 'bytes']]) {
      if (limit !== undefined && cost[what] > limit) {
        refuse(`over its budget: ${what} of ${cost[what]} ${unit}, allowed are ${limit}`,
          [{ path: `budget.${what}`, expected: `at most ${limit} ${unit}`, actual: `${cost[what]} ${unit}` }]);
      }
    }
  };

  return (cases) => {
    for (const one of cases) {
      collecting.add(one.name, () => check(one), { skip: one.skip, reason: one.reason, file: one.file });
    }
  };
})
