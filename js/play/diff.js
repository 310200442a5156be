// The difference of two JSON trees, as lines of JSON. It compares by structure, so a moved key is not a change.
import { compact, lines } from './json.js';

/** Above this many comparisons an array is compared place by place. */
const MAX_WORK = 250_000;

const same = (a, b) => compact(a) === compact(b);
const signed = (sign, list) => list.map((line) => ({ ...line, sign }));

/** The differences from one tree to the other, as lines of { sign: ' ', '-' or '+', depth, text }. */
export const diff = (a, b, depth = 0, prefix = '', suffix = '') => {
  if (same(a, b)) return signed(' ', lines(b, depth, prefix, suffix));
  if (a.kind !== b.kind || a.kind === 'scalar') {
    return [...signed('-', lines(a, depth, prefix, suffix)), ...signed('+', lines(b, depth, prefix, suffix))];
  }
  const [open, close] = a.kind === 'object' ? '{}' : '[]';
  const parts = a.kind === 'object' ? ofObjects(a, b) : ofArrays(a, b);
  // The last remaining item has no comma.
  const last = parts.findLastIndex(([, after]) => after !== undefined);
  const inner = parts.flatMap(([before, after, name], index) => {
    const end = index < last || after === undefined ? ',' : '';
    if (before === undefined) return signed('+', lines(after, depth + 1, name, end));
    if (after === undefined) return signed('-', lines(before, depth + 1, name, last < 0 ? '' : end));
    return diff(before, after, depth + 1, name, end);
  });
  return [{ sign: ' ', depth, text: prefix + open }, ...inner, { sign: ' ', depth, text: close + suffix }];
};

/** The keys of the new object in their order; a removed key stays in its place, after its old neighbour. */
const ofObjects = (a, b) => {
  const order = [...b.entries.keys()];
  let before;
  for (const key of a.entries.keys()) {
    if (!b.entries.has(key)) order.splice(before === undefined ? 0 : order.indexOf(before) + 1, 0, key);
    before = key;
  }
  return order.map((key) => [a.entries.get(key), b.entries.get(key), `${JSON.stringify(key)}: `]);
};

/** Items of the longest common subsequence are equal; the items between them are compared in pairs. */
const ofArrays = (a, b) => {
  const [from, to] = [a.items, b.items];
  const parts = [];
  const gap = (removed, added) => {
    for (let i = 0; i < Math.max(removed.length, added.length); i++) parts.push([removed[i], added[i], '']);
  };
  if (from.length * to.length > MAX_WORK) {
    gap(from, to);
    return parts;
  }
  const width = to.length + 1;
  const longest = new Uint32Array((from.length + 1) * width);
  for (let i = from.length - 1; i >= 0; i--) {
    for (let j = to.length - 1; j >= 0; j--) {
      longest[i * width + j] = same(from[i], to[j])
        ? longest[(i + 1) * width + j + 1] + 1
        : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
    }
  }
  let [i, j, removed, added] = [0, 0, [], []];
  while (i < from.length || j < to.length) {
    if (i < from.length && j < to.length && same(from[i], to[j])) {
      gap(removed, added);
      [removed, added] = [[], []];
      parts.push([from[i++], to[j++], '']);
    } else if (j >= to.length || (i < from.length && longest[(i + 1) * width + j] >= longest[i * width + j + 1])) {
      removed.push(from[i++]);
    } else {
      added.push(to[j++]);
    }
  }
  gap(removed, added);
  return parts;
};
