// Snapshots: the last accepted values. The supervisor passes the text of the snapshot file when a test file is loaded,
// and writes the file if the text has changed.
((host, prettying, linewise, equality, read) => {
  const { pretty } = prettying;
  const { differences, isAsymmetric, isObject } = equality;
  const HEAD = '// Snapshots of sluicegate test; `--update` writes them anew.\n';
  const ENTRY = /^exports\[`((?:[^`\\]|\\.)*)`\] = `((?:[^`\\]|\\.)*)`;$/gms;
  const escape = (text) => text.replace(/[\\`]/g, '\\$&').replace(/\$\{/g, '\\${');
  const unescape = (text) => text.replace(/\\([\\`$])/g, '$1');

  const known = new Map();
  for (const [, key, value] of (host.snapshots ?? '').matchAll(ENTRY)) {
    known.set(unescape(key), unescape(value).replace(/^\n|\n$/g, ''));
  }
  const changed = new Set();
  let counts = new Map();
  let titles = [];
  const inline = [];
  const files = new Map();

  /** Called before each test. */
  const begin = (names) => {
    titles = names;
    counts = new Map();
  };

  const differ = (expected, actual) => [
    { path: '', expected, actual, lines: linewise.byLine(expected, actual) },
  ];

  const missing = { pass: false, message: () => 'there is no such snapshot yet, and under CI none is written' };
  const different = (expected, actual) => ({
    pass: false,
    differences: differ(expected, actual),
    message: () => 'the value differs from its snapshot; if it is right now, run with --update',
  });

  /** A value with asymmetric matchers in place of the fields that they describe. */
  const merged = (value, shape) => {
    if (isAsymmetric(shape) || !isObject(shape) || !isObject(value)) return shape;
    const made = Array.isArray(value) ? [...value] : { ...value };
    for (const key of Object.keys(shape)) made[key] = merged(value[key], shape[key]);
    return made;
  };

  /** Parses the arguments of a snapshot matcher: the first may be a shape. */
  const shaped = (actual, args) => {
    if (!isObject(args[0])) return { value: actual, rest: args };
    const [shape, ...rest] = args;
    return { value: merged(actual, shape), rest, wrong: differences(shape, actual, 'match') };
  };
  const mismatch = (found) => ({ pass: false, differences: found, message: () => 'the value does not have the shape that is given' });

  /** The numbered keys of the next snapshot: in sluicegate's notation, and in those of Vitest and Jest. */
  const keysOf = (hint) => {
    const own = titles.join(' › ');
    const base = hint === undefined ? own : `${own}: ${hint}`;
    const number = (counts.get(base) ?? 0) + 1;
    counts.set(base, number);
    const others = [` > `, ` `].map((between) => titles.join(between));
    const vitest = hint === undefined ? others[0] : `${others[0]} > ${hint}`;
    const jest = hint === undefined ? others[1] : `${others[1]}: ${hint}`;
    return [base, vitest, jest].map((text) => `${text} ${number}`);
  };

  const match = (actual, ...args) => {
    const { value, rest: [hint], wrong = [] } = shaped(actual, args);
    if (wrong.length > 0) return mismatch(wrong);
    const keys = keysOf(hint);
    const key = keys.find((one) => known.has(one)) ?? keys[0];
    const text = pretty(value);
    const before = known.get(key);
    if (before === text) return { pass: true };
    if (before === undefined ? !host.ci : host.update) {
      known.set(key, text);
      changed.add(key);
      return { pass: true };
    }
    return before === undefined ? missing : different(before, text);
  };

  /** Removes the common indentation of an inline snapshot. */
  const dedent = (text) => {
    const all = text.replace(/^\n/, '').replace(/\n[ \t]*$/, '').split('\n');
    const indents = all.filter((line) => line.trim() !== '').map((line) => line.match(/^[ \t]*/)[0].length);
    const least = Math.min(...indents, Infinity);
    return all.map((line) => line.slice(Number.isFinite(least) ? least : 0)).join('\n');
  };

  const matchInline = (actual, ...args) => {
    const { value, rest: [snapshot], wrong = [] } = shaped(actual, args);
    if (wrong.length > 0) return mismatch(wrong);
    const text = pretty(value);
    const accepted = [text];
    // Jest writes the message of a thrown error in quotes; people often write it without them.
    if (Error.isError(value)) accepted.push(`"${value.message}"`, value.message);
    if (typeof value === 'string') accepted.push(value);
    if (snapshot !== undefined && accepted.some((one) => dedent(snapshot) === dedent(one))) return { pass: true };
    if (snapshot === undefined ? !host.ci : host.update) {
      inline.push({ stack: new Error().stack, text: escape(text), shaped: args.length > 0 && isObject(args[0]) });
      return { pass: true };
    }
    return snapshot === undefined ? missing : different(dedent(snapshot), dedent(text));
  };

  /** Compares a value with a snapshot in its own file. */
  const matchFile = (actual, path) => {
    const text = typeof actual === 'string' ? actual : pretty(actual);
    const before = files.get(path) ?? read(path);
    if (before === text) return { pass: true };
    if (before === undefined ? !host.ci : host.update) {
      files.set(path, text);
      return { pass: true };
    }
    return before === undefined ? missing : different(before, text);
  };

  /** Everything to write: the snapshot file's new text, if it has changed, other files, and inline snapshots. */
  const finish = () => {
    const keys = [...known.keys()].sort();
    const file = HEAD + keys.map((key) => `\nexports[\`${escape(key)}\`] = \`\n${escape(known.get(key))}\n\`;\n`).join('');
    return { file: changed.size === 0 ? undefined : file, changed: changed.size, inline, files: [...files].map(([path, text]) => ({ path, text })) };
  };

  return { begin, match, matchInline, matchFile, finish };
})
