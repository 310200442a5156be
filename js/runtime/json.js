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
  const uncurry = (method) => Function.prototype.call.bind(method);
  const includes = uncurry(String.prototype.includes);
  const startsWith = uncurry(String.prototype.startsWith);
  const charCodeAt = uncurry(String.prototype.charCodeAt);
  const isWellFormed = uncurry(String.prototype.isWellFormed);
  const slice = uncurry(String.prototype.slice);
  const NewSet = Set;
  const setHas = uncurry(Set.prototype.has);
  const setAdd = uncurry(Set.prototype.add);
  const setDelete = uncurry(Set.prototype.delete);
  const numberText = uncurry(Number.prototype.toString);
  const { escapedKeys } = host;
  // Whether code of the author's may run while an event is printed.
  let careful = true;

  /** What is nested deeper is looked through for a cycle. */
  const MAX_DEPTH = 64;
  const MAX_PATH = 200;

  /** A list that asks no prototype, whatever the author has put on `Array.prototype`. */
  const newList = () => setPrototypeOf([], null);

  /** Gives an object a property of its own, whatever its prototype has under that name. */
  const define = (object, key, value) =>
    defineProperty(object, key, { __proto__: null, value, writable: true, enumerable: true, configurable: true });

  // --- printing ---------------------------------------------------------------------------------------------------

  const isFlat = (value, depth) => {
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
  };

  /** Whether no object holds itself, as far as properties say. No depth is too much. */
  const isAcyclic = (value) => {
    const open = new NewSet();
    const done = new NewSet();
    const around = newList();
    let depth = 0;
    const enter = (object) => {
      setAdd(open, object);
      around[depth++] = { object, names: keysOf(object), at: 0 };
    };
    enter(value);
    while (depth > 0) {
      const here = around[depth - 1];
      if (here.at === here.names.length) {
        setDelete(open, here.object);
        setAdd(done, here.object);
        depth--;
        continue;
      }
      const item = here.object[here.names[here.at++]];
      if (typeof item !== 'object' || item === null || setHas(done, item)) continue;
      if (setHas(open, item)) return false;
      enter(item);
    }
    return true;
  };

  /** Where an object first meets itself, as text; undefined if it does not, as far as properties say. */
  const cycleIn = (value, path, open) => {
    open[open.length] = value;
    path[path.length] = '';
    const names = keysOf(value);
    for (let i = 0; i < names.length; i++) {
      const item = value[names[i]];
      if (typeof item !== 'object' || item === null) continue;
      path[path.length - 1] = names[i];
      for (let n = 0; n < open.length; n++) {
        if (open[n] === item) return `${pathText(path, path.length)} is ${n === 0 ? 'the object itself' : pathText(path, n)}`;
      }
      const found = cycleIn(item, path, open);
      if (found !== undefined) return found;
    }
    open.length -= 1;
    path.length -= 1;
    return undefined;
  };

  const pathText = (path, length) => {
    let text = '';
    for (let i = 0; i < length; i++) text += i === 0 ? path[i] : `.${path[i]}`;
    return text.length > MAX_PATH ? `${slice(text, 0, MAX_PATH)}\u2026` : text;
  };

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
      where = cycleIn(value, newList(), newList());
    } catch {
      // A getter that throws, or a Proxy.
    }
    lastCycle = new NewTypeError(where === undefined ? CIRCULAR : `${CIRCULAR}: ${where}`);
    return lastCycle;
  };

  /** Whether an error is that of a cycle. */
  const isCycle = (error) => error !== undefined && error === lastCycle;

  /** The text of an object or array, found in the fast way if it can be. */
  const print = (value) => {
    // Code that may run while an event is printed must not run twice: then V8's slow stringifier does it all, as it does
    // wherever there is a gap.
    if (!careful && (isFlat(value, 0) || isAcyclic(value))) return stringify(value);
    return printWith(value, undefined, '');
  };

  const printWith = (value, replacer, gap) => {
    try {
      return stringify(value, replacer, gap);
    } catch (error) {
      throw explained(error, value);
    }
  };

  // --- parsing ----------------------------------------------------------------------------------------------------

  /**
   * What a list of `roundtrip::as_lists` stands for: 0 before the keys and values of an object, 1 before an array's. Runs
   * outside the event's window too, so nothing here may reach code of the author's.
   */
  const built = (list) => {
    if (!isArray(list)) return list;
    const { length } = list;
    if (list[0] === 1) {
      const array = [];
      for (let i = 1; i < length; i++) define(array, i - 1, built(list[i]));
      return array;
    }
    const object = {};
    for (let i = 1; i < length; i += 2) define(object, list[i], built(list[i + 1]));
    return object;
  };

  /** The event of a line, which may have been made lists. An event itself never starts with a bracket. */
  const eventOf = (line) => (line[0] === '[' ? built(parse(line)) : parse(line));

  /** A text in which surrogates that stand alone are escapes, which mean the same in a string. */
  const wellFormed = (text) => {
    if (isWellFormed(text)) return text;
    let out = '';
    for (let i = 0; i < text.length; i++) {
      const unit = charCodeAt(text, i);
      const alone = unit >= 0xd800 && unit < 0xe000;
      if (!alone) out += text[i];
      else if (unit < 0xdc00 && charCodeAt(text, i + 1) >= 0xdc00 && charCodeAt(text, i + 1) < 0xe000) out += text[i] + text[++i];
      else out += `\\u${numberText(unit, 16)}`;
    }
    return out;
  };

  /** What a reviver makes of a value: from the inside out, as the standard has it. */
  const revived = (holder, name, reviver) => {
    const value = holder[name];
    if (typeof value === 'object' && value !== null) {
      const names = keysOf(value);
      for (let i = 0; i < names.length; i++) {
        const item = revived(value, names[i], reviver);
        if (item === undefined) delete value[names[i]];
        else define(value, names[i], item);
      }
    }
    return apply(reviver, holder, [name, value, {}]);
  };

  /** A text with a backslash, parsed without the parser's fault. */
  const parseEscaped = (text, reviver) => {
    const value = parse(text);
    const lists = escapedKeys(wellFormed(text));
    if (lists === undefined) return typeof reviver === 'function' ? parse(text, reviver) : value;
    const meant = built(parse(lists));
    return typeof reviver === 'function' ? revived({ '': meant }, '', reviver) : meant;
  };

  const author = {
    parse(text, reviver) {
      const source = typeof text === 'string' ? text : `${text}`;
      if (includes(source, '\\')) return parseEscaped(source, reviver);
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

  const setCareful = (value) => {
    careful = value;
  };

  return { parse, stringify, print, printWith, isCycle, eventOf, setCareful };
})
