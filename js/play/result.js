// The result of a run: verdicts, changes, logs, cost.
import { byId, make } from './dom.js';
import { diff } from './diff.js';
import { get, lines, plain } from './json.js';

const number = (value, digits) => value.toLocaleString('en', { maximumFractionDigits: digits, useGrouping: false });
const time = (ns) => (ns < 1e6 ? `${number(ns / 1e3, 0)} µs` : ns < 1e9 ? `${number(ns / 1e6, 1)} ms` : `${number(ns / 1e9, 2)} s`);
const size = (bytes) => (bytes < 1024 ? `${bytes} B` : bytes < 1 << 20 ? `${number(bytes / 1024, 1)} KiB` : `${number(bytes / (1 << 20), 1)} MiB`);
const count = (many, one, more = `${one}s`) => `${many} ${many === 1 ? one : more}`;

/** `{ verdict, outputs, kind, message, stack, position, logs }` for each event, from the tree of an answer. */
export const verdictsOf = (answer) => (get(answer, 'verdicts')?.items ?? []).map((node) => {
  const text = (key) => plain(get(node, key));
  return {
    verdict: text('verdict'), kind: text('kind'), name: text('name'), message: text('message'), stack: text('stack'),
    file: text('file'), line: text('line'), column: text('column'), logs: text('logs') ?? [],
    outputs: get(node, 'events')?.items ?? [],
  };
});

/** The verdicts in a few words, and the colour of that text. */
export const inWords = (verdicts) => {
  if (verdicts.length === 1) {
    const [{ verdict, kind, outputs }] = verdicts;
    if (verdict === 'failed') return ['failed', `failed: ${kind}`];
    if (verdict === 'dropped') return ['dropped', 'dropped'];
    return ['ok', outputs.length === 1 ? 'ok' : `ok: ${outputs.length} events`];
  }
  const of = (word) => verdicts.filter(({ verdict }) => verdict === word).length;
  const words = ['ok', 'dropped', 'failed'].filter((word) => of(word) > 0);
  return [words.at(-1), words.map((word) => `${of(word)} ${word}`).join(', ')];
};

export const showVerdict = (kind, text) => {
  const verdict = byId('verdict');
  verdict.className = `verdict ${kind}`;
  // Screen readers say the text once, not on every keystroke.
  if (verdict.textContent !== text) verdict.textContent = text;
};

export const showCost = (answer, load) => {
  const cost = plain(get(answer, 'cost')) ?? undefined;
  const entries = cost === undefined ? [] : [
    ['CPU', time(cost.cpu), 'CPU time of the code, in a fresh isolate: the first event is the slowest'],
    ['heap', size(cost.heapUsed), `heap in use afterwards; the events made it grow by ${size(cost.heap)}`],
    ['load', `${number(load, 1)} ms`, 'to make an isolate and load the code into it, once per worker in production'],
  ];
  byId('cost').replaceChildren(...entries.map(([name, value, title]) =>
    make('div', { title }, make('dt', {}, name), make('dd', { 'data-cost': name }, value))));
};

const code = (rows) => make('div', { class: 'rows' }, ...rows.map(({ sign = ' ', depth, text }) =>
  make('div', { class: { '+': 'added', '-': 'removed', ' ': undefined }[sign] },
    make('span', { class: 'sign' }, sign === '-' ? '−' : sign), make('span', { class: 'text' }, '  '.repeat(depth) + text))));

/** Folds long runs of unchanged lines, except for three lines on each side. */
const folded = (rows) => {
  const parts = [];
  for (let at = 0; at < rows.length;) {
    const next = rows.findIndex(({ sign }, index) => index > at && (sign === ' ') !== (rows[at].sign === ' '));
    const run = rows.slice(at, next < 0 ? rows.length : next);
    const lead = at === 0 ? 0 : 3;
    const tail = next < 0 ? 0 : 3;
    if (rows[at].sign === ' ' && run.length > lead + tail + 6 && run.length < rows.length) {
      const middle = run.slice(lead, run.length - tail);
      parts.push(code(run.slice(0, lead)), make('details', {},
        make('summary', {}, `${middle.length} lines unchanged`), code(middle)), code(run.slice(run.length - tail)));
    } else parts.push(code(run));
    at += run.length;
  }
  return parts;
};

export const note = (...text) => make('p', { class: 'note' }, ...text);

/** A stack whose places are links; `go` returns undefined for places outside the project. */
export const stackOf = (stack, go) => make('pre', { class: 'stack' }, ...stack.split('\n').flatMap((line, index) => {
  const found = /^(\s+at (?:.* \()?)(.+):(\d+):(\d+)(\)?)$/.exec(line);
  const target = found === null ? undefined : go(found[2].replace(/^async /, ''), Number(found[3]), Number(found[4]));
  const end = index > 0 ? '\n' : '';
  if (target === undefined) return [end + line];
  const [, lead, name, row, column, close] = found;
  return [end + lead, make('button', { type: 'button', class: 'link', click: target }, `${name}:${row}:${column}`), close];
}));

const failed = (one, go) => {
  const title = `${one.name === undefined ? '' : `${one.name}: `}${one.message}`;
  const stack = one.stack?.startsWith(title) ? one.stack.slice(title.length + 1) : one.stack;
  return make('div', { class: 'failure' }, make('p', {}, make('strong', {}, title)),
    stack ? stackOf(stack, go) : undefined,
    note('A run writes this event to its dead letters, as it came.'));
};

/** Shows the chosen view: changes, output or logs. */
export const showView = (view, { events, verdicts, go = undefined }) => {
  const several = verdicts.length > 1;
  const heading = (index, text) => (several ? make('h2', {}, `Event ${index + 1}: ${text}`) : undefined);
  const parts = verdicts.flatMap((one, index) => {
    const head = heading(index, one.verdict === 'failed' ? `failed, ${one.kind}` : one.verdict);
    if (view === 'logs') {
      if (one.logs.length === 0) return [];
      return [head, make('ol', { class: 'logs' }, ...one.logs.map(({ level, message }) =>
        make('li', { class: level }, make('span', { class: 'level' }, level), make('span', {}, message))))];
    }
    if (one.verdict === 'failed') return [head, failed(one, go)];
    if (one.verdict === 'dropped') return [head, note('Nothing goes out: the transformation dropped it.')];
    return [head, ...one.outputs.flatMap((output, at) => {
      const title = one.outputs.length > 1 ? make('h3', {}, `output ${at + 1} of ${one.outputs.length}`) : undefined;
      if (view === 'output') return [title, code(lines(output))];
      const rows = diff(events[index], output);
      const changed = rows.some(({ sign }) => sign !== ' ');
      return [title, changed ? undefined : note('It goes out as it came.'), ...folded(rows)];
    })];
  });
  if (view === 'logs' && parts.length === 0) parts.push(note('Nothing was logged. ', make('code', {}, 'log(…)'), ' and ',
    make('code', {}, 'console.log(…)'), ' show up here.'));
  byId('view').replaceChildren(...parts.filter((part) => part !== undefined));
};

/** Shows the number of log lines on their tab. */
export const showLogCount = (verdicts) => {
  const many = verdicts.reduce((sum, { logs }) => sum + logs.length, 0);
  byId('tab-logs').replaceChildren('Logs', many === 0 ? '' : make('span', { class: 'count', 'aria-label': count(many, 'line') }, String(many)));
};
