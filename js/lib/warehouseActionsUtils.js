// Helpers for reverse-ETL syncs that send a row together with its previous version.
//
// A warehouse query can put a whole row into one column as JSON text: an array of [key, value]
// pairs, because that keeps the columns' order and needs no schema. The new text and the text of
// the last sync are both in the event's traits; these two functions turn them back into objects
// and tell whether anything worth sending has changed.

/**
 * The value of one column, as parsed from JSON.
 * @typedef {string | number | boolean | null | object} TruthValue
 */

/**
 * A row without its empty columns.
 * @typedef {Record<string, TruthValue>} Truth
 */

// A set, because checking each key on Object.prototype itself costs twice as much.
const INHERITED_NAMES = new Set(Object.getOwnPropertyNames(Object.prototype));

// The engine builds most rows' objects, see its row_object. Without it, and for rows that it declines, this file does.
/** @type {((text: string) => Truth | undefined) | undefined} */
const rowObject = /** @type {any} */ (import.meta).rowObject;

// Whether no object inherits a text or a number. Code can add names to `Object.prototype` only while it is loaded.
/** @type {boolean | undefined} */
let inheritsNone;

/** @param {unknown} value */
const isTextOrNumber = (value) => typeof value === 'string' || typeof value === 'number';

// The last parsed text. The two truths of an unchanged row are the same text, and six rows in ten are unchanged.
/** @type {string | undefined} */
let lastText;
/** @type {unknown[]} */
let lastPairs = [];

/**
 * Builds an object from a JSON text such as `[["group_id","g-1"],["name","Acme"],["phone",null]]`.
 *
 * - A pair whose value is falsy (`null`, `""`, `0`, `false`) is left out, as is a pair without a
 *   value: an empty column is no change, and must not overwrite the destination's value.
 * - If two pairs have the same key, the later one wins, unless it is left out.
 * - A missing text (`null`, `undefined`, `""`, or the JSON text `null`) gives `{}`. The first sync
 *   of a row has no old truth: compared with `{}`, every column is new, so the row is sent. A
 *   missing new truth means a deleted row, which has nothing to send. If a missing text is a
 *   mistake in your data, test for it before the call.
 * - Every key is data: `__proto__` becomes a property like any other.
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
  // The caller may change nested arrays and objects, so pairs that contain any are not kept.
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
 * Returns whether the new truth adds anything to the old one: true if the old one lacks one of its
 * keys, or if a value differs by `!==`. (So nested arrays and objects always differ, because each
 * text gives new objects.) Keys that only the old truth has don't count: `rebuild_object` leaves
 * out empty columns, so a missing key is no change.
 *
 * Logs every difference, not only the first, as one line:
 * `compare_truths: {"key":"plan","new":"pro","old":"free"}`. `old` is missing if the old truth
 * lacks the key.
 *
 * @param {Truth | null | undefined} new_truth a missing one counts as `{}`, as in `rebuild_object`
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
    // No text or number is inherited, so `before` itself has this value.
    if (isPlain && isTextOrNumber(value) && value === before[key]) continue;
    // Own keys only: `{}` lacks a column called `constructor`, although `in` finds it.
    const known = Object.hasOwn(before, key);
    if (known && value === before[key]) continue;
    differs = true;
    // An object, not a formatted text: it costs almost nothing while logging is off, and JSON
    // shows the difference between 12 and "12", which is hard to find otherwise.
    log('compare_truths:', { key, new: value, old: known ? before[key] : undefined });
  }
  return differs;
}

/**
 * JSON.parse with the caller's name in its error, because a transformation may parse other texts too.
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
 * Accepts a single element too: some warehouses drop a NULL from the pair that they build.
 * @param {unknown} value
 * @returns {value is [string | number, TruthValue?]}
 */
function isPair(value) {
  if (!Array.isArray(value) || value.length < 1 || value.length > 2) return false;
  return typeof value[0] === 'string' || typeof value[0] === 'number';
}

/**
 * Sets an own property. Assignment is faster, but for `__proto__` it would call an accessor of
 * Object.prototype, and for its other names it would fail if the built-ins are frozen.
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
 * Describes a value for an error: its type, and enough of its text to find it in the data.
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
