// `test.extend({ name: value })` and `test.extend('name', value)`: fixtures that a test names in its first parameter
// are created before it runs, and removed after it.
(() => {
  /** The names that a function destructures from its first parameter; undefined if its text does not show them. */
  const namesIn = (body) => {
    const text = Function.prototype.toString.call(body);
    const found = text.match(/^(?:async\b\s*)?(?:function\b\s*\*?\s*)?[\w$]*\s*\(\s*\{([^{}]*)\}/);
    if (found === null) return /^[^(]*\(\s*\)/.test(text) || /^(?:async\s*)?\(\s*\)/.test(text) ? [] : undefined;
    return found[1].split(',').map((part) => part.trim().split(/[:=\s]/)[0]).filter((name) => name !== '');
  };

  const isFixture = (value) => Array.isArray(value) && value.length === 2
    && typeof value[1] === 'object' && value[1] !== null && ['auto', 'scope', 'injected'].some((key) => key in value[1]);

  const extend = (base, added, ...rest) => {
    const all = { ...base };
    if (typeof added === 'string') {
      // Options may come before the value. A function returns it, and registers its cleanup with onCleanup.
      const [options, value] = rest.length === 2 ? rest : [{}, rest[0]];
      all[added] = { value, returns: true, auto: options.auto === true, before: base[added] };
      return all;
    }
    for (const [name, given] of Object.entries(added)) {
      const [value, options] = isFixture(given) ? given : [given, {}];
      all[name] = { value, auto: options.auto === true, before: base[name] };
    }
    return all;
  };

  /** Runs `body` with the fixtures that it names, in addition to `context`. */
  const use = async (fixtures, context, body) => {
    const asked = namesIn(body) ?? Object.keys(fixtures);
    const auto = Object.keys(fixtures).filter((name) => fixtures[name].auto);
    const made = new Map();
    const ends = [];

    const make = async (name, fixture, making) => {
      if (making.includes(fixture)) throw new TypeError(`the fixture ${name} needs itself`);
      if (made.has(fixture)) return made.get(fixture);
      const { value } = fixture;
      let result = value;
      if (typeof value === 'function') {
        const needs = namesIn(value) ?? [];
        const own = Object.assign(Object.create(null), context);
        for (const need of needs) {
          // A fixture that names itself means the one that it extends.
          const other = need === name ? fixture.before : fixtures[need];
          if (other !== undefined) own[need] = await make(need, other, [...making, fixture]);
        }
        result = await started(fixture, own);
      }
      made.set(fixture, result);
      return result;
    };

    /** Calls a fixture, and waits until it passes its value to `use`. The rest of it runs after the test. */
    const started = ({ value, returns }, own) => new Promise((resolve, reject) => {
      let finish;
      const over = new Promise((done) => { finish = done; });
      let given = false;
      const hand = (result) => {
        given = true;
        resolve(result);
        return over;
      };
      const cleanups = [];
      const onCleanup = (act) => cleanups.push(act);
      const end = Promise.resolve(returns ? value(own, { onCleanup }) : value(own, hand, { onCleanup })).then((result) => {
        if (!given) resolve(result);
      }, reject);
      ends.push(async () => {
        finish();
        await end;
        for (const act of cleanups.reverse()) await act();
      });
    });

    try {
      for (const name of new Set([...auto, ...asked])) {
        if (Object.hasOwn(fixtures, name)) context[name] = await make(name, fixtures[name], []);
      }
      await body(context);
    } finally {
      for (const end of ends.reverse()) await end();
    }
  };

  return { extend, use };
})
