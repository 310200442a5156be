// Helpers for reverse-ETL syncs that send a row together with the row as it was last time.
//
// A warehouse query can put a whole row into one column as JSON text: an array of [key, value]
// pairs, because that keeps the columns' order and needs no schema. The new text and the text of
// the last sync travel side by side in the event's traits; these two functions turn them back
// into objects and tell whether anything worth sending has changed.

/**
 * One column of a row, as JSON gives it.
 * @typedef {string | number | boolean | null | object} TruthValue
 */

/**
 * A row with its empty columns left out.
 * @typedef {Record<string, TruthValue>} Truth
 */

// A set, as asking Object.prototype itself for each key costs twice as much.
const INHERITED_NAMES = new Set(Object.getOwnPropertyNames(Object.prototype));

// The engine makes the object of most rows, see its row_object. Elsewhere, and for rows that it declines, it is made here.
/** @type {((text: string) => Truth | undefined) | undefined} */
const rowObject = /** @type {any} */ (import.meta).rowObject;

// Whether no object inherits a text or a number. Code may add names to `Object.prototype` while it is loaded, and not later.
/** @type {boolean | undefined} */
let inheritsNone;

/** @param {unknown} value */
const isTextOrNumber = (value) => typeof value === 'string' || typeof value === 'number';

// What was parsed last. The two truths of an unchanged row are the same text, and six rows in ten are unchanged.
/** @type {string | undefined} */
let lastText;
/** @type {unknown[]} */
let lastPairs = [];

/**
 * Builds an object of a JSON text such as `[["group_id","g-1"],["name","Acme"],["phone",null]]`.
 *
 * - A pair whose value is falsy (`null`, `""`, `0`, `false`) is left out, as is a pair without a
 *   value: an empty column is no news, and must not overwrite what the destination holds.
 * - Of two pairs with the same key the later one wins; one that is left out wins nothing.
 * - No text at all (`null`, `undefined`, `""`, or the JSON text `null`) gives `{}`. That is what
 *   the first sync of a row has as its old truth: compared with it every column is new, so the
 *   row goes out. The same holds for a new truth: a deleted row has nothing to send. If its
 *   absence is a mistake in your data, test for it before you call this.
 * - Keys are data whatever they are called: `__proto__` becomes a property like any other.
 *
 * @param {string | null | undefined} input_string JSON text of an array of [key, value] pairs
 * @returns {Truth}
 * @throws {SyntaxError} when the text isn't JSON (a text cut off by a column's size, say)
 * @throws {TypeError} when it is JSON, but not an array of [key, value] pairs
 */
export function rebuild_object(input_string) {
  if (input_string === null || input_string === undefined || input_string === '') return {};
  if (typeof input_string !== 'string') {
    throw new TypeError(
      `rebuild_object: expected the pairs as JSON text, got ${describe(input_string)}`,
    );
  }

  const row = rowObject?.(input_string);
  if (row !== undefined) return row;

  const known = input_string === lastText;
  const pairs = known ? lastPairs : parse(input_string);
  if (pairs === null) return {};
  if (!Array.isArray(pairs)) {
    throw new TypeError(
      `rebuild_object: expected an array of [key, value] pairs, got ${describe(pairs)}`,
    );
  }

  /** @type {Truth} */
  const truth = {};
  // Nested arrays and objects are the caller's to change, so each text gives objects of its own.
  let flat = true;
  for (let i = 0; i < pairs.length; i += 1) {
    const pair = pairs[i];
    if (!isPair(pair)) {
      throw new TypeError(
        `rebuild_object: element ${i} is not a [key, value] pair, but ${describe(pair)}`,
      );
    }
    const value = pair[1];
    if (typeof value === 'object' && value !== null) flat = false;
    if (value) setOwn(truth, pair[0], value);
  }
  if (flat && !known) {
    lastText = input_string;
    lastPairs = pairs;
  }
  return truth;
}

/**
 * Tells whether the new truth says anything that the old one doesn't: true when a key of the new
 * one is absent from the old one, or its value differs by `!==`. (Nested arrays and objects thus
 * always differ, as each text gives objects of its own.) Keys that only the old one has don't
 * count: `rebuild_object` leaves empty columns out, so their absence says nothing.
 *
 * Each difference is logged, not only the first, as one line:
 * `compare_truths: {"key":"plan","new":"pro","old":"free"}`; without `old` when the old truth
 * lacks the key.
 *
 * @param {Truth | null | undefined} new_truth nothing counts as `{}`, as in `rebuild_object`
 * @param {Truth | null | undefined} old_truth likewise
 * @returns {boolean}
 */
export function compare_truths(new_truth, old_truth) {
  const after = new_truth ?? {};
  const before = old_truth ?? {};
  inheritsNone ??= Object.getOwnPropertyNames(Object.prototype).every(
    (key) => !isTextOrNumber(Reflect.get(Object.prototype, key)),
  );
  const isPlain = inheritsNone && Object.getPrototypeOf(before) === Object.prototype;
  let differs = false;
  for (const key of Object.keys(after)) {
    const value = after[key];
    // It isn't inherited, so `before` has it.
    if (isPlain && isTextOrNumber(value) && value === before[key]) continue;
    // Own keys only: a column called `constructor` is absent from `{}`, whatever `in` may say.
    const known = Object.hasOwn(before, key);
    if (known && value === before[key]) continue;
    differs = true;
    // An object, not a finished text: it costs next to nothing while logging is off, and as JSON
    // it tells 12 from "12", which is the difference one looks for longest.
    log('compare_truths:', { key, new: value, old: known ? before[key] : undefined });
  }
  return differs;
}

/**
 * JSON.parse, with the caller's name in its error: a transformation may parse other texts too.
 * @param {string} text
 * @returns {unknown}
 */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(`rebuild_object: ${error.message}`, { cause: error });
  }
}

/**
 * One element is let pass: some warehouses drop a NULL from the pair that they build.
 * @param {unknown} value
 * @returns {value is [string | number, TruthValue?]}
 */
function isPair(value) {
  if (!Array.isArray(value) || value.length < 1 || value.length > 2) return false;
  return typeof value[0] === 'string' || typeof value[0] === 'number';
}

/**
 * Assignment is the fast way, but would reach an accessor of Object.prototype for `__proto__`,
 * and be refused for its other names where the built-ins are frozen.
 * @param {Truth} target
 * @param {string | number} key
 * @param {TruthValue} value
 */
function setOwn(target, key, value) {
  if (INHERITED_NAMES.has(String(key))) {
    const attributes = { value, writable: true, enumerable: true, configurable: true };
    Object.defineProperty(target, key, attributes);
  } else {
    target[key] = value;
  }
}

/**
 * Names a value in an error: its type, and enough of it to find it in the data.
 * @param {unknown} value
 * @returns {string}
 */
function describe(value) {
  if (value === null) return 'null';
  const type = Array.isArray(value) ? 'array' : typeof value;
  let text;
  try {
    text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  } catch {
    return type;
  }
  return `${type} ${text.length > 60 ? `${text.slice(0, 60)}…` : text}`;
}
