// `JSON.parse` and `JSON.stringify` for the driver and for the author, without two faults of V8's.
//
// - Of an object in a cycle, V8's fast stringifier goes round and round for 200 000 objects before it looks for one: with a
//   long string in it, that takes gigabytes and half a minute. So what is nested deeply, as every cycle is, is looked through
//   first, and one with a cycle goes to the slow stringifier, which finds it at once.
// - V8's parser compares a key that is written with an escape with the key that it expects before it has read the escape, and so
//   takes it for a key of another text (nodejs/node#63785). Nothing of the kind happens to strings in arrays: texts with
//   such keys are parsed as arrays, of which objects are made.
((host) => {
  const { parse, stringify, isRawJSON } = JSON;
  const { isArray } = Array;
  const { defineProperty, keys: keysOf, setPrototypeOf } = Object;
  const { isError } = Error;
  const { apply } = Reflect;
  const NewTypeError = TypeError;
  const uncurry = ((method) => Function.prototype.call.bind(method));
  const includes = uncurry(String.prototype.includes);
  const startsWith = uncurry(String.prototype.startsWith);
  const { onDemand, escapedKeys } = host;
  // Whether code of the author's may run while an event is printed.
  let careful = true;

  /** What is nested deeper is looked through for a cycle. */
  const MAX_DEPTH = 64;

  // What is rarely needed, see `js/runtime/on_demand`, and the copies that it works with.
  const forCycles = {
    keysOf, setPrototypeOf, slice: uncurry(String.prototype.slice),
    NewSet: Set, setHas: uncurry(Set.prototype.has), setAdd: uncurry(Set.prototype.add), setDelete: uncurry(Set.prototype.delete),
  };
  let cyclesCode;
  const cycles = () => (cyclesCode ??= onDemand('cycles')(forCycles));
  const forEscapes = {
    parse, escapedKeys, isArray, keysOf, defineProperty, apply,
    charCodeAt: uncurry(String.prototype.charCodeAt), isWellFormed: uncurry(String.prototype.isWellFormed),
    numberText: uncurry(Number.prototype.toString),
  };
  let escapesCode;
  const escapes = () => (escapesCode ??= onDemand('escaped_keys')(forEscapes));

  // --- printing ---------------------------------------------------------------------------------------------------

  const isFlat = ((value, depth) => {
    if (depth > MAX_DEPTH) return false;
    if (isArray(value)) {
      for (let i = 0; i < value.length; i++) {
        const item = value[i];
        if (typeof item === 'object' && item !== null && !isFlat(item, depth + 1)) return false;
      }
      return true;
    }
    for (const name in value) {
      const item = value[name];
      if (typeof item === 'object' && item !== null && !isFlat(item, depth + 1)) return false;
    }
    return true;
  });

  const CIRCULAR = 'Converting circular structure to JSON';
  let lastCycle;

  /** An error as it goes to the author: of a cycle it always says the same. */
  const explained = (error, value) => {
    if (error === lastCycle || !isError(error)) return error;
    let message;
    try {
      message = error instanceof NewTypeError ? error.message : undefined;
    } catch {
      return error;
    }
    if (typeof message !== 'string' || !startsWith(message, CIRCULAR)) return error;
    let where;
    try {
      where = cycles().cycleOf(value);
    } catch {
      // A getter that throws, a Proxy, or a stack that is too small.
    }
    lastCycle = new NewTypeError(where === undefined ? CIRCULAR : `${CIRCULAR}: ${where}`);
    return lastCycle;
  };

  /** Whether an error is that of a cycle. */
  const isCycle = (error) => error !== undefined && error === lastCycle;

  /** The text of an object or array, found in the fast way if it can be. `flat`: whether the engine knows that it is flat. */
  const print = ((value, flat) => {
    // Code that may run while an event is printed must not run twice: then V8's slow stringifier does it all, as it does
    // wherever there is a gap.
    if (!careful && (flat === true || isFlat(value, 0) || cycles().isAcyclic(value))) return stringify(value);
    return printWith(value, undefined, '');
  });

  const printWith = (value, replacer, gap) => {
    try {
      return stringify(value, replacer, gap);
    } catch (error) {
      throw explained(error, value);
    }
  };

  // --- parsing ----------------------------------------------------------------------------------------------------

  /** The event of a line, which may have been made lists. An event itself never starts with a bracket. */
  const eventOf = (line) => (line[0] === '[' ? escapes().built(parse(line)) : parse(line));

  const author = {
    parse(text, reviver) {
      const source = typeof text === 'string' ? text : `${text}`;
      if (includes(source, '\\')) return escapes().parseEscaped(source, reviver);
      return typeof reviver === 'function' ? parse(source, reviver) : parse(source);
    },
    stringify(value, replacer, space) {
      const plain = replacer === undefined && space === undefined && typeof value === 'object' && value !== null;
      return plain && !isRawJSON(value) ? print(value) : printWith(value, replacer, space);
    },
  };
  for (const name of ['parse', 'stringify']) {
    defineProperty(JSON, name, { __proto__: null, value: author[name], writable: true, enumerable: false, configurable: true });
  }

  const setCareful = ((value) => {
    careful = value;
  });

  return { parse, stringify, print, printWith, isCycle, eventOf, setCareful };
})
