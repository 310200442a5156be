// Snapshots: what a value looked like when it was last accepted. The file's text comes in when a test file is
// loaded and goes out when it has changed; reading and writing it is the supervisor's business.
((host, printing) => {
  const { print } = printing;
  const HEAD = '// Snapshots of sluicegate test; `--update` writes them anew.\n';
  const ENTRY = /^exports\[`((?:[^`\\]|\\.)*)`\] = `((?:[^`\\]|\\.)*)`;$/gms;
  const escape = (text) => text.replace(/[\\`]/g, '\\$&').replace(/\$\{/g, '\\${');
  const unescape = (text) => text.replace(/\\([\\`$])/g, '$1');

  const known = new Map();
  for (const [, key, value] of (host.snapshots ?? '').matchAll(ENTRY)) {
    known.set(unescape(key), unescape(value).replace(/^\n|\n$/g, ''));
  }
  let changed = false;
  let counts = new Map();
  let test = '';
  const inline = [];

  /** Called before each test. */
  const begin = (name) => {
    test = name;
    counts = new Map();
  };

  const lines = (text) => text.split('\n');
  const differ = (expected, actual) => {
    const found = [];
    const [a, b] = [lines(expected), lines(actual)];
    // Common head and tail fall away; what is between is what has changed.
    let start = 0;
    while (start < a.length && start < b.length && a[start] === b[start]) start++;
    let end = 0;
    while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
    found.push({
      path: `line ${start + 1}`,
      expected: a.slice(start, a.length - end).join('\n'),
      actual: b.slice(start, b.length - end).join('\n'),
    });
    return found;
  };

  const missing = { pass: false, message: () => 'there is no such snapshot yet, and under CI none is written' };

  const match = (actual, hint) => {
    const base = hint === undefined ? test : `${test}: ${hint}`;
    const number = (counts.get(base) ?? 0) + 1;
    counts.set(base, number);
    const key = `${base} ${number}`;
    const text = print(actual, { sort: true, wide: false });
    const before = known.get(key);
    if (before === text) return { pass: true };
    if (before === undefined ? !host.ci : host.update) {
      known.set(key, text);
      changed = true;
      return { pass: true };
    }
    if (before === undefined) return missing;
    return {
      pass: false,
      differences: differ(before, text),
      message: () => 'the value differs from its snapshot; if it is right now, run with --update',
    };
  };

  /** Takes away what the author's indentation has put before each line. */
  const dedent = (text) => {
    const all = lines(text.replace(/^\n/, '').replace(/\n[ \t]*$/, ''));
    const indents = all.filter((line) => line.trim() !== '').map((line) => line.match(/^[ \t]*/)[0].length);
    const least = Math.min(...indents, Infinity);
    return all.map((line) => line.slice(Number.isFinite(least) ? least : 0)).join('\n');
  };

  const matchInline = (actual, snapshot) => {
    const text = print(actual, { sort: true, wide: false });
    if (snapshot !== undefined && dedent(snapshot) === dedent(text)) return { pass: true };
    if (snapshot === undefined ? !host.ci : host.update) {
      inline.push({ stack: new Error().stack, text: escape(text) });
      return { pass: true };
    }
    if (snapshot === undefined) return missing;
    return {
      pass: false,
      differences: differ(dedent(snapshot), dedent(text)),
      message: () => 'the value differs from its snapshot; if it is right now, run with --update',
    };
  };

  /** What has to be written: the snapshot file's new text, if it has one, and inline snapshots with their stacks. */
  const finish = () => {
    const keys = [...known.keys()].sort();
    const file = HEAD + keys.map((key) => `\nexports[\`${escape(key)}\`] = \`\n${escape(known.get(key))}\n\`;\n`).join('');
    return { file: changed ? file : undefined, inline };
  };

  return { begin, match, matchInline, finish };
})
