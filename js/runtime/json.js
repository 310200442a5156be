// `JSON.parse` and `JSON.stringify` for the driver and the author's code, with workarounds for two bugs in V8.
//
// - V8's fast stringifier prints 200 000 objects of a cycle before it checks for cycles. If the objects contain a long string,
//   this takes gigabytes and half a minute. So deeply nested values, which include every cycle, are checked for cycles first.
//   A value with a cycle goes to the slow stringifier, which finds it at once.
// - If a key is written with an escape, V8's parser compares it with the expected key before it decodes the escape, and so can
//   mistake it for another key (nodejs/node#63785). Strings in arrays are not affected. So texts with such keys are parsed as
//   arrays, and the objects are built from these.
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
  // Whether the author's code may run while an event is printed.
  let careful = true;

  /** Values with deeper nesting are checked for cycles. */
  const MAX_DEPTH = 64;

  // Code that is rarely needed, see `js/runtime/on_demand`, and the copies of intrinsics that it uses.
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

  /** The error that the author sees. Errors about cycles get the same message from both of V8's stringifiers. */
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

  /** Whether an error reports a cycle. */
  const isCycle = (error) => error !== undefined && error === lastCycle;

  /** The text of an object or array, from the fast stringifier if possible. `flat`: whether the engine knows that it is flat. */
  const print = ((value, flat) => {
    // Code that may run while an event is printed must not run twice, so such a program uses only V8's slow stringifier. Passing
    // a gap selects it.
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

  /** The event of a line, which may have been converted to lists. An event itself never starts with a bracket. */
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
