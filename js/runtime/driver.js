// The engine's own code inside the isolate: it converts the results of a transformation to text, and thrown values to
// messages. It keeps its own copies of the intrinsics that it uses, taken before any code of the author ran, and never
// reads a property that the author could have changed.
//
// Results of `finish`: `undefined`, no output; a string, one output; an array of strings, several; a number, the
// transformation returned something that is not an event (see `BadReturn` in the engine); a promise, the result was a
// thenable and has to settle first.
((host, { parse, print, printWith, isCycle, eventOf }, { learn, forget, planSize, planned }) => {
  const { rawJSON } = JSON;
  const { isArray } = Array;
  const { hasOwn, setPrototypeOf } = Object;
  const { isError } = Error;
  const asText = String;
  const uncurry = (method) => Function.prototype.call.bind(method);
  const tagOf = uncurry(Object.prototype.toString);
  const bigintText = uncurry(BigInt.prototype.toString);
  const slice = uncurry(String.prototype.slice);
  const mapGet = uncurry(Map.prototype.get);
  const mapSet = uncurry(Map.prototype.set);
  const mapForEach = uncurry(Map.prototype.forEach);
  const mapDelete = uncurry(Map.prototype.delete);
  const weakGet = uncurry(WeakMap.prototype.get);
  const weakSet = uncurry(WeakMap.prototype.set);
  const includes = uncurry(String.prototype.includes);
  const NewMap = Map;
  const { isFinite } = Number;
  const resolve = Promise.resolve.bind(Promise);

  const { NOT_AN_EVENT, BAD_ELEMENT, NOT_AN_ARRAY, KINDS } = host.badReturns;

  /** The most characters of an error's text that are kept. */
  const MAX_ERROR_TEXT = 32768;

  const isEvent = (value) => typeof value === 'object' && value !== null && tagOf(value) === '[object Object]';

  const exactBigInts = (_key, value) => (typeof value === 'bigint' ? rawJSON(bigintText(value)) : value);

  // --- numbers that JavaScript can't hold -----------------------------------------------------------------------

  const { watchNumber, numberMoved, textLeaves } = host;

  // The place of the printed event in its batch.
  let printing = 0;

  /** From here on, doubles are further apart than integers. */
  const FIRST_UNSAFE = 2 ** 53;

  // The texts of numbers in the line, by the object or array that they came in, and there by key.
  const carried = new WeakMap();

  /**
   * Records the numbers of an event that JavaScript may not hold: a JSON array of arrays, each with the keys on the
   * path to a number and its text. See the engine's `roundtrip::unsafe_numbers`. With `watched`, reads of them are
   * recorded, see its unsafe_reads.
   */
  const carry = (event, list, watched) => {
    const numbers = parse(list);
    for (let n = 0; n < numbers.length; n++) {
      const path = numbers[n];
      const last = path.length - 2;
      let holder = event;
      // If a key appears twice in the line, the path may lead to another value, or to none.
      for (let i = 0; i < last && typeof holder === 'object' && holder !== null; i++) {
        holder = hasOwn(holder, path[i]) ? holder[path[i]] : undefined;
      }
      if (typeof holder !== 'object' || holder === null || !hasOwn(holder, path[last])) continue;
      const text = path[last + 1];
      if (holder[path[last]] !== +text) continue;
      let texts = weakGet(carried, holder);
      if (texts === undefined) weakSet(carried, holder, (texts = new NewMap()));
      mapSet(texts, path[last], text);
      if (watched) watchNumber(holder, path[last], path);
    }
  };

  /** The text that a number had in the line, if it is still in its place. */
  const carriedText = (holder, key, value) => {
    const texts = weakGet(carried, holder);
    if (texts === undefined) return undefined;
    const text = mapGet(texts, key);
    if (text !== undefined && +text === value) return text;
    // In an array it may be at another index now. Smaller numbers may be different ones: 0 and 1e-400 have the same
    // double.
    if (!isArray(holder) || (value < FIRST_UNSAFE && value > -FIRST_UNSAFE)) return undefined;
    let found;
    mapForEach(texts, (other) => {
      if (+other === value) found = found === undefined || found === other ? other : null;
    });
    // The code has read it to move it.
    if (typeof found === 'string') numberMoved(value, printing);
    return found ?? undefined;
  };

  // Prints numbers that JavaScript can't hold with the line's digits. A value that is infinite and otherwise unknown
  // gets a marker, so that the engine can restore the number at the same place of the line.
  function exactNumbers(key, value) {
    if (typeof value === 'bigint') return rawJSON(`${bigintText(value)}e0`);
    if (typeof value === 'string' && value.length > 15) textLeaves(value, printing);
    if (typeof value !== 'number') return value;
    const text = carriedText(this, key, value);
    if (text !== undefined) {
      const printed = asText(value);
      if (text !== printed) return rawJSON(text);
      // A number with an exponent can't be marked, but no other number of a line is likely to have the same double.
      return includes(printed, 'e') ? value : rawJSON(`${text}e0`);
    }
    if (!isFinite(value) && value === value) return rawJSON(value > 0 ? '1e999' : '-1e999');
    if (value >= FIRST_UNSAFE || value <= -FIRST_UNSAFE) numberMoved(value, printing);
    return value;
  }

  /**
   * A list of the driver's own. It has no prototype, so that appending never uses anything that the author put on
   * `Array.prototype`, such as a setter for the index 0.
   */
  const newList = () => setPrototypeOf([], null);

  const listOf = (value) => {
    const list = newList();
    list[0] = value;
    return list;
  };

  /** The result for a value that is not an event, with the kind of value. */
  const fault = (number, value) => {
    const kind = typeof value === 'object' ? tagOf(value) : typeof value;
    for (let i = 0; i < KINDS.length; i++) if (KINDS[i] === kind) return number + 8 * (i + 1);
    return number;
  };

  let exact = false;

  /** The JSON text of one event, or undefined if it is not the text of an object. */
  const textOf = (value) => {
    let text;
    try {
      text = exact ? printWith(value, exactNumbers) : print(value);
    } catch (error) {
      if (isCycle(error)) throw error;
      // A BigInt is the only value that plain `stringify` rejects and this accepts; any other error is thrown again.
      text = printWith(value, exactBigInts);
    }
    return text !== undefined && text[0] === '{' ? text : undefined;
  };

  /** The result for one return value, of which `toText` makes the text, or for a list of them. */
  const answer = (result, toText) => {
    if (result === undefined || result === null) return undefined;
    if (isArray(result)) return textsOf(result, toText);
    if (!isEvent(result)) return fault(NOT_AN_EVENT, result);
    if (typeof result.then === 'function') return resolve(result);
    return toText(result) ?? NOT_AN_EVENT;
  };

  const finish = (result) => answer(result, textOf);

  const textsOf = (result, toText) => {
    const { length } = result;
    if (length === 0) return undefined;
    const texts = newList();
    let count = 0;
    for (let i = 0; i < length; i++) {
      const element = result[i];
      if (element === undefined && !(i in result)) continue; // a hole is nothing, not a bad element
      const text = isEvent(element) ? toText(element) : undefined;
      if (text === undefined) return fault(BAD_ELEMENT, element);
      texts[count++] = text;
    }
    return count === 0 ? undefined : texts;
  };

  const plannedText = (event) => {
    let text;
    try {
      const copy = planned(event);
      if (copy !== undefined) text = print(copy);
    } catch {
      // A cycle, a BigInt, a stack that is too small: in each case, the event itself must be reported as faulty.
    }
    return text ?? textOf(event);
  };

  /** `finish` with the print plan. */
  const finishPlanned = (result) => (isArray(result) ? finish(result) : answer(result, plannedText));

  /** `finish`; the print plan also learns from the result. */
  const finishLearning = (result, line, afresh) => {
    const text = finish(result);
    if (afresh) forget();
    if (typeof text === 'string') learn(line, text);
    return text;
  };

  /** `finish` for an event with numbers that JavaScript can't hold. */
  const finishExact = (result) => {
    exact = true;
    try {
      return finish(result);
    } finally {
      exact = false;
    }
  };

  // --- lazy events, see the engine's lazy ---------------------------------------------------------------------------

  const { getPrototypeOf, keys: keysOf } = Object;
  const plainPrototype = Object.prototype;
  const { probe, lazyPart, eventNumber } = host;

  /** The text of a value in a lazy event, or undefined if the event has to be printed in another way. */
  const piece = (value) => {
    try {
      if (typeof value === 'object' && value !== null && typeof value.toJSON === 'function') return undefined;
      return typeof value === 'object' && value !== null ? print(value) : printWith(value);
    } catch (error) {
      return undefined;
    }
  };

  /** The same of several values. */
  const pieces = (values) => {
    const texts = newList();
    for (let i = 0; i < values.length; i++) {
      const text = piece(values[i]);
      if (text === undefined) return undefined;
      texts[i] = text;
    }
    return texts;
  };

  /**
   * An ordinary object with the properties of a lazy one, and a marker for each value that is still lazy; or undefined
   * if it has to be printed in the plain way. The markers are read from the event one by one, so that no code of the
   * author can see them. `within` are the objects on the path.
   */
  const marked = (event, names, node, within) => {
    if (!isEvent(event) || typeof event.toJSON === 'function' || typeof event.then === 'function') return undefined;
    const keys = keysOf(event);
    const plain = {};
    if (typeof plain.toJSON === 'function') return undefined;
    for (let i = 0; i < keys.length; i++) {
      const name = keys[i];
      // An accessor of `Object.prototype`, perhaps the author's, would be called instead of creating the property.
      if (name in plain) return undefined;
      let at = 0;
      // Mostly nothing was added or deleted, so the names are in the same places.
      if (i < names.length && names[i] === name) at = i + 1;
      else for (let n = 0; n < names.length; n++) if (names[n] === name) at = n + 1;
      let value;
      probe[0] = at;
      probe[1] = node;
      try {
        value = event[name];
      } finally {
        probe[0] = 0;
      }
      if (typeof value === 'object' && value !== null) {
        const part = lazyPart(value, name, node);
        if (part === null) return undefined;
        if (typeof part === 'string') value = part;
        else if (part !== undefined) {
          const itsNode = probe[1];
          for (let n = 0; n < within.length; n++) if (within[n] === value) return undefined;
          within[within.length] = value;
          value = marked(value, part, itsNode, within);
          within.length -= 1;
          if (value === undefined) return undefined;
        }
      }
      plain[name] = value;
    }
    return plain;
  };

  /** The text of a lazy event with a marker for each value that is still lazy, or undefined. */
  const finishLazy = (event, names) => {
    const plain = marked(event, names, 0, listOf(event));
    if (plain === undefined) return undefined;
    try {
      return textOf(plain);
    } catch (error) {
      // The event itself must be reported as faulty.
      if (isCycle(error)) return undefined;
      throw error;
    }
  };

  /** The depth in a result to which parts of a lazy event are searched for. */
  const MAX_DEPTH = 2;

  /**
   * An object with markers for the parts of the lazy event that it contains, the object itself if there are none, or
   * undefined if it has to be printed in the plain way. Reads every property; the programs that are printed like this
   * have no accessors.
   */
  const lifted = (object, depth) => {
    if (typeof object.toJSON === 'function') return undefined;
    const keys = keysOf(object);
    let copy;
    for (let i = 0; i < keys.length; i++) {
      const name = keys[i];
      const value = object[name];
      if (typeof value !== 'object' || value === null || isArray(value)) continue;
      let held = lazyPart(value, depth === 0 ? name : undefined, 0);
      if (held === null) return undefined;
      if (typeof held === 'object') held = marked(value, held, probe[1], listOf(value));
      else if (held === undefined) {
        if (depth === MAX_DEPTH || getPrototypeOf(value) !== plainPrototype) continue;
        held = lifted(value, depth + 1);
      }
      if (held === undefined) return undefined;
      if (held === value) continue;
      copy ??= { ...object };
      copy[name] = held;
    }
    return copy ?? object;
  };

  /** The text of an output that may be the lazy event or contain parts of it, with markers for parts that are still lazy. */
  const partsText = (output) => {
    try {
      let plain = lazyPart(output, true, 0);
      if (plain === undefined) plain = getPrototypeOf(output) === plainPrototype ? lifted(output, 0) : null;
      else if (typeof plain === 'object' && plain !== null) plain = marked(output, plain, probe[1], listOf(output));
      if (plain !== undefined && plain !== null) return print(plain);
    } catch {
      // A cycle, a BigInt, a stack that is too small: in each case, the output itself must be reported as faulty.
    }
    return textOf(output);
  };

  /** `finish` for the result of a lazy event. */
  const finishParts = (result) => answer(result, partsText);

  // --- transformBatch -------------------------------------------------------------------------------------------

  // The batches under way, by the number that the engine gave each; how many there are; and the number of one of them.
  const batches = new NewMap();
  let openBatches = 0;
  let anyBatch;

  /** Records the events of a batch, and their ids before the author can change them. */
  const openBatch = (events, number) => {
    const batch = { indexOf: new NewMap(), indexOfId: new NewMap() };
    mapSet(batches, number, batch);
    openBatches++;
    anyBatch = number;
    for (let i = 0; i < events.length; i++) {
      const event = events[i];
      mapSet(batch.indexOf, event, i);
      const id = event.messageId;
      if (id !== undefined && mapGet(batch.indexOfId, id) === undefined) mapSet(batch.indexOfId, id, i);
    }
  };

  /** The input that an output belongs to: the same object, or else the same messageId, or else that of the previous output. */
  const inputOf = (batch, output, before) =>
    mapGet(batch.indexOf, output) ?? mapGet(batch.indexOfId, output.messageId) ?? before;

  /**
   * Two lists: for each input an array of texts, or undefined; and for each input its fault, which is possible together
   * with valid outputs: undefined, a number if one of its outputs is not an event, or the thrown value.
   */
  const finishBatch = (results, count, lossy, number) => {
    exact = lossy;
    try {
      return grouped(mapGet(batches, number), results, count);
    } finally {
      exact = false;
      printing = 0;
    }
  };

  const grouped = (batch, results, count) => {
    if (!isArray(results)) return fault(NOT_AN_ARRAY, results);
    const texts = newList();
    const faults = newList();
    for (let i = 0; i < count; i++) texts[i] = faults[i] = undefined;
    const bad = newList();
    let at = 0;
    const { length } = results;
    for (let i = 0; i < length; i++) {
      const element = results[i];
      if (element === undefined && !(i in results)) continue;
      if (!isEvent(element)) {
        bad[bad.length] = i;
        continue;
      }
      at = printing = inputOf(batch, element, at);
      let text;
      try {
        text = textOf(element) ?? BAD_ELEMENT;
      } catch (error) {
        text = { thrown: describe(error) };
      }
      if (typeof text !== 'string') faults[at] = text;
      else if (texts[at] === undefined) texts[at] = listOf(text);
      else texts[at][texts[at].length] = text;
    }
    // A value that is not an event has no id: it makes the line at its place fail, or the next one that has no other
    // result.
    const taken = (place) => texts[place] !== undefined || faults[place] !== undefined;
    for (let i = 0; i < bad.length; i++) {
      let place = bad[i] < count ? bad[i] : count - 1;
      for (let n = 0; n < count && taken(place); n++) place = (place + 1) % count;
      faults[place] = BAD_ELEMENT;
    }
    return [texts, faults];
  };

  /** The place of an event in its batch: by the same object, or else the same messageId; 0 without batches. */
  const batchIndex = (event) => {
    if (openBatches === 0) return 0;
    const batch = mapGet(batches, openBatches === 1 ? anyBatch : eventNumber());
    if (batch === undefined) return -1;
    return mapGet(batch.indexOf, event) ?? mapGet(batch.indexOfId, event?.messageId) ?? -1;
  };

  const closeBatch = (number) => {
    if (!mapDelete(batches, number)) return;
    openBatches--;
    if (openBatches > 0 && anyBatch === number) mapForEach(batches, (_, other) => (anyBatch = other));
  };

  // --- errors ---------------------------------------------------------------------------------------------------

  const cut = (text) =>
    text.length > MAX_ERROR_TEXT ? `${slice(text, 0, MAX_ERROR_TEXT)}\u2026 (${text.length - MAX_ERROR_TEXT} more)` : text;

  // The frames are at the end of a stack.
  const tail = (text) => (text.length > MAX_ERROR_TEXT ? slice(text, text.length - MAX_ERROR_TEXT) : text);

  const read = (object, key, shorten) => {
    try {
      const value = object[key];
      return typeof value === 'string' ? shorten(value) : undefined;
    } catch {
      return undefined;
    }
  };

  /** The most causes, and the most errors of an AggregateError, that are reported. */
  const MAX_RELATED = 5;

  const oneLine = (value) =>
    isError(value) ? `${read(value, 'name', cut) ?? 'Error'}: ${read(value, 'message', cut) ?? ''}` : cut(asText(value));

  /** The errors in an error, and its causes. */
  const related = (error) => {
    let text = '';
    try {
      const { errors } = error;
      const count = isArray(errors) ? errors.length : 0;
      for (let i = 0; i < count && i < MAX_RELATED; i++) text += `${text && '; '}with ${oneLine(errors[i])}`;
      let { cause } = error;
      for (let i = 0; cause !== undefined && cause !== null && i < MAX_RELATED; i++) {
        text += `${text && '; '}caused by ${oneLine(cause)}`;
        cause = isError(cause) ? cause.cause : undefined;
      }
    } catch {
      // A property whose getter or Proxy throws is left out.
    }
    return text === '' ? undefined : text;
  };

  /** The JSON text of an object that was thrown. */
  const jsonOf = (thrown) => {
    try {
      return cut(print(thrown));
    } catch {
      return undefined;
    }
  };

  /**
   * `[name, message, stack, more]` of any thrown value, see the engine's `Thrown`. Runs getters, so it must run inside
   * the event's window.
   */
  const describe = (thrown) => {
    let error = false;
    try {
      error = isError(thrown) || thrown instanceof NewError;
    } catch {
      // A Proxy that throws when it is examined.
    }
    if (error) {
      const name = read(thrown, 'name', cut) ?? 'Error';
      const message = read(thrown, 'message', cut) ?? '';
      return [name, message, read(thrown, 'stack', tail), related(thrown)];
    }
    let text;
    try {
      text = cut(asText(thrown));
    } catch {
      text = 'a value was thrown that cannot be turned into a string';
    }
    return [undefined, text, undefined, text === '[object Object]' ? jsonOf(thrown) : undefined];
  };
  const NewError = Error;

  return {
    finishLazy,
    finishParts,
    piece,
    pieces,
    finish,
    finishExact,
    finishPlanned,
    finishLearning,
    planSize,
    carry,
    eventOf,
    openBatch,
    finishBatch,
    batchIndex,
    closeBatch,
    describe,
  };
})
