// The engine's own code inside the isolate: it converts the results of a transformation to text, and thrown values to
// messages. It keeps its own copies of the intrinsics that it uses, taken before any code of the author ran, and never
// reads a property that the author could have changed.
//
// Results of `finish`:
// - `undefined`: no output.
// - A string: one output.
// - An array of strings: several outputs.
// - A number: the transformation returned something that is not an event (see `BadReturn` in the engine).
// - A promise: the result was a thenable, which has to settle first.
((host, { parse, print, printWith, isCycle, eventOf }) => {
  const { rawJSON } = JSON;
  const { isArray } = Array;
  const { hasOwn, getPrototypeOf, keys: keysOf, setPrototypeOf } = Object;
  const { isError } = Error;
  const plainPrototype = Object.prototype;
  const NewError = Error;
  const asText = String;
  const uncurry = ((method) => Function.prototype.call.bind(method));
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
  const join = uncurry(Array.prototype.join);
  const NewMap = Map;
  const NewWeakMap = WeakMap;
  const { isFinite } = Number;
  const resolve = Promise.resolve.bind(Promise);

  const { onDemand } = host;
  const { NOT_AN_EVENT, BAD_ELEMENT, NOT_AN_ARRAY, KINDS } = host.badReturns;

  const isEvent = ((value) => typeof value === 'object' && value !== null && tagOf(value) === '[object Object]');

  const exactBigInts = (_key, value) => (typeof value === 'bigint' ? rawJSON(bigintText(value)) : value);

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

  /** The result for a value that is not an event: a number that includes the kind of value. */
  const fault = (number, value) => {
    const kind = typeof value === 'object' ? tagOf(value) : typeof value;
    for (let i = 0; i < KINDS.length; i++) if (KINDS[i] === kind) return number + 8 * (i + 1);
    return number;
  };

  // The replacer for events with numbers that JavaScript can't represent, or undefined for all others.
  let replacer;

  /** The JSON text of one event, or undefined if it is not the text of an object. */
  const textOf = ((value, flat) => {
    let text;
    try {
      text = replacer === undefined ? print(value, flat) : printWith(value, replacer);
    } catch (error) {
      if (isCycle(error)) throw error;
      // A BigInt is the only value that plain `stringify` rejects and this call accepts. It throws any other error again.
      text = printWith(value, exactBigInts);
    }
    return text !== undefined && text[0] === '{' ? text : undefined;
  });

  /**
   * The result for a return value: one event or an array of events. `toText` prints an event. `flat`: whether the engine
   * knows that the value is flat, see `print`.
   */
  const answer = ((result, toText, flat) => {
    if (result === undefined || result === null) return undefined;
    if (isArray(result)) return textsOf(result, toText);
    if (!isEvent(result)) return fault(NOT_AN_EVENT, result);
    if (typeof result.then === 'function') return resolve(result);
    return toText(result, flat) ?? NOT_AN_EVENT;
  });

  const finish = ((result, flat) => answer(result, textOf, flat));

  // An accessor that runs while one event is printed may change the next one. So none of them is known to be flat.
  const textsOf = (result, toText) => {
    const { length } = result;
    if (length === 0) return undefined;
    const texts = newList();
    let count = 0;
    for (let i = 0; i < length; i++) {
      const element = result[i];
      if (element === undefined && !(i in result)) continue; // a hole is skipped, not a bad element
      const text = isEvent(element) ? toText(element) : undefined;
      if (text === undefined) return fault(BAD_ELEMENT, element);
      texts[count++] = text;
    }
    return count === 0 ? undefined : texts;
  };

  const plannedText = (event) => {
    let text;
    try {
      const copy = plan().planned(event);
      if (copy !== undefined) text = print(copy);
    } catch {
      // A cycle, a BigInt or a stack overflow. In each case, the error must be reported for the event itself.
    }
    return text ?? textOf(event);
  };

  /** `finish` with the print plan. */
  const finishPlanned = (result) => (isArray(result) ? finish(result) : answer(result, plannedText));

  /** Like `finish`, and the print plan learns from the result. */
  const finishLearning = (result, flat, line, afresh) => {
    const text = finish(result, flat);
    if (afresh) plan().forget();
    if (typeof text === 'string') plan().learn(line, text);
    return text;
  };

  /** `finish` for an event with numbers that JavaScript can't represent. */
  const finishExact = (result) => {
    replacer = numbers().exactNumbers;
    try {
      return finish(result);
    } finally {
      replacer = undefined;
    }
  };

  /**
   * Returns two lists with an item per input. The first has the input's texts: an array or undefined. The second has its
   * fault, possibly in addition to valid outputs: undefined, a number if an output is not an event, or the thrown value.
   */
  const finishBatch = (results, count, lossy, number) => {
    if (lossy) replacer = numbers().exactNumbers;
    try {
      return batches().grouped(results, count, number);
    } finally {
      replacer = undefined;
      state.printing = 0;
    }
  };

  /** The place of an event in its batch, found by the same object, or else by the same messageId. 0 without batches. */
  const batchIndex = (event) => (batchesCode === undefined ? 0 : batchesCode.batchIndex(event));

  // --- code on demand -------------------------------------------------------------------------------------------
  // Not every program needs it. Each file in `js/runtime/on_demand` is compiled when it is first used, and uses the copies of
  // intrinsics made here.

  // The place in its batch of the event that is being printed.
  const state = { __proto__: null, printing: 0 };

  let planCode;
  const plan = () =>
    (planCode ??= onDemand('print_plan')({ parse, isArray, hasOwn, keys: keysOf, getPrototypeOf, setPrototypeOf, plainPrototype, join }));

  const { watchNumber, numberMoved, textLeaves, probe, lazyPart, eventNumber } = host;
  let numbersCode;
  const numbers = () =>
    (numbersCode ??= onDemand('exact_numbers')({
      parse, rawJSON, isArray, hasOwn, isFinite, asText, bigintText, includes, mapGet, mapSet, mapForEach, weakGet, weakSet, NewMap,
      carried: new NewWeakMap(), watchNumber, numberMoved, textLeaves, state,
    }));

  let lazyCode;
  const lazy = () =>
    (lazyCode ??= onDemand('lazy_events')({
      print, printWith, isCycle, isEvent, isArray, getPrototypeOf, keysOf, plainPrototype, probe, lazyPart, newList, listOf, textOf, answer,
    }));

  let batchesCode;
  const batches = () =>
    (batchesCode ??= onDemand('batches')({
      isArray, isEvent, mapGet, mapSet, mapForEach, mapDelete, NewMap, eventNumber, newList, listOf, fault, textOf, describe, state,
      BAD_ELEMENT, NOT_AN_ARRAY,
    }));

  let thrownCode;
  const describe = (thrown) =>
    (thrownCode ??= onDemand('thrown')({ print, isArray, isError, asText, slice, includes, NewError })).describe(thrown);

  return {
    finishLazy: (event, names) => lazy().finishLazy(event, names),
    finishParts: (result, flat) => lazy().finishParts(result, flat),
    piece: (value, flat) => lazy().piece(value, flat),
    pieces: (values) => lazy().pieces(values),
    finish,
    finishExact,
    finishPlanned,
    finishLearning,
    planSize: () => (planCode === undefined ? 0 : planCode.planSize()),
    carry: (event, list, watched) => numbers().carry(event, list, watched),
    eventOf,
    openBatch: (events, number) => batches().openBatch(events, number),
    finishBatch,
    batchIndex,
    closeBatch: (number) => batchesCode?.closeBatch(number),
    describe,
  };
})
