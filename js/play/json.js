// JSON with its notation: numbers keep their digits, keys their order. Text from the engine is valid; invalid text
// throws.

const SPACE = /[ \t\n\r]*/y;
const SCALAR = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null/y;

/** A tree of { kind: 'object', entries: Map<key, node> }, { kind: 'array', items } and { kind: 'scalar', text }. */
export const parse = (text) => {
  let at = 0;
  const space = () => {
    SPACE.lastIndex = at;
    SPACE.exec(text);
    at = SPACE.lastIndex;
  };
  const fail = () => {
    throw new SyntaxError(`not JSON at ${at}`);
  };
  const expect = (sign) => {
    space();
    if (text[at] !== sign) fail();
    at++;
  };
  const scalar = () => {
    SCALAR.lastIndex = at;
    const found = SCALAR.exec(text);
    if (found === null) fail();
    at = SCALAR.lastIndex;
    return found[0];
  };
  const list = (end, item) => {
    at++;
    space();
    if (text[at] === end) {
      at++;
      return;
    }
    for (;;) {
      item();
      space();
      if (text[at] === end) {
        at++;
        return;
      }
      expect(',');
    }
  };
  const value = () => {
    space();
    if (text[at] === '{') {
      const entries = new Map();
      list('}', () => {
        space();
        const key = JSON.parse(scalar());
        expect(':');
        entries.set(key, value());
      });
      return { kind: 'object', entries };
    }
    if (text[at] === '[') {
      const items = [];
      list(']', () => items.push(value()));
      return { kind: 'array', items };
    }
    return { kind: 'scalar', text: scalar() };
  };
  const node = value();
  space();
  if (at !== text.length) fail();
  return node;
};

/** The value at a key, or at an index. */
export const get = (node, key) => (node?.kind === 'object' ? node.entries.get(key) : node?.items?.[key]);

/** The JavaScript value. Numbers that JavaScript can't hold lose digits. */
export const plain = (node) => (node === undefined ? undefined : JSON.parse(compact(node)));

/** Text without white space; equal texts are equal values. */
export const compact = (node) => {
  node.compact ??= node.kind === 'object'
    ? `{${[...node.entries].map(([key, value]) => `${JSON.stringify(key)}:${compact(value)}`).join(',')}}`
    : node.kind === 'array'
      ? `[${node.items.map(compact).join(',')}]`
      : node.text.startsWith('"') ? JSON.stringify(JSON.parse(node.text)) : node.text;
  return node.compact;
};

/** Lines of { depth, text }, with `prefix` before the first one and `suffix` after the last. */
export const lines = (node, depth = 0, prefix = '', suffix = '') => {
  const [open, close] = node.kind === 'object' ? '{}' : '[]';
  const children = node.kind === 'object'
    ? [...node.entries].map(([key, value]) => [`${JSON.stringify(key)}: `, value])
    : node.items?.map((item) => ['', item]);
  if (children === undefined) return [{ depth, text: prefix + compact(node) + suffix }];
  if (children.length === 0) return [{ depth, text: prefix + open + close + suffix }];
  const inner = children.flatMap(([name, child], index) =>
    lines(child, depth + 1, name, index < children.length - 1 ? ',' : ''));
  return [{ depth, text: prefix + open }, ...inner, { depth, text: close + suffix }];
};

/** Indented text for people, with two blanks for each level. */
export const pretty = (node) => lines(node).map(({ depth, text }) => '  '.repeat(depth) + text).join('\n');
