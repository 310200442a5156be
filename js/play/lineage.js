// Lineage: the fields of the event on one side, those of the output on the other. Pointing at a field highlights the
// fields that it flows to or comes from.
import * as api from './api.js';
import { byId, make } from './dom.js';
import { note } from './result.js';

const CONSTANT = '(constant)';
const VERDICT = '(verdict)';
const WORDS = {
  copied: 'copied as it is', renamed: 'copied under another name', computed: 'made of it', conditional: 'only chooses among values',
  constant: 'always the same', metadata: 'from the metadata', credential: 'a credential', network: 'from the network', clock: 'the time',
  random: 'chance',
};

/** Scrolls only the list of a button, until the button is visible. */
const showFirst = (button) => {
  const list = button?.closest('.column');
  if (!list) return;
  const { offsetTop: top, offsetHeight: height } = button;
  if (top < list.scrollTop || top + height > list.scrollTop + list.clientHeight) list.scrollTop = top - list.clientHeight / 3;
};

const path = (text) => make('span', { class: 'path' }, ...text.split(/(?<=[.\]])/).flatMap((part) => [part, make('wbr')]));

export class Lineage {
  #answer;
  #running = false;
  #abort;
  /**
   * The field under the pointer: { side: 'in' or 'out', name }. `held` is the selected field, which stays highlighted.
   */
  #pointed;
  #held;
  #failed;
  #trial;
  #chosen;
  #rows = { in: new Map(), out: new Map() };
  /** Whether the measured text differs from the current one. */
  #stale = true;

  /** `trial` is the input to measure; `chosen` is called with the selected field of the event. */
  constructor({ trial, chosen }) {
    this.#trial = trial;
    this.#chosen = chosen;
  }

  /** Marks the result as outdated. */
  outdate() {
    this.#stale = true;
    this.#abort?.abort();
  }

  /** Measures if the result is outdated. */
  async measure() {
    if (!this.#stale) return;
    this.#abort?.abort();
    const own = new AbortController();
    this.#abort = own;
    this.#running = true;
    this.#stale = false;
    this.show();
    try {
      const answer = await api.lineage(this.#trial(), own.signal);
      if (this.#abort !== own) return;
      this.#failed = answer.problem?.message;
      if (answer.problem === undefined) this.#answer = answer;
    } catch (error) {
      if (this.#abort !== own || error.name === 'AbortError') return;
      this.#failed = error.message;
    }
    this.#running = false;
    this.show();
  }

  /** Points at the field of the event that the cursor is in. */
  point(name) {
    if (this.#answer === undefined || name === undefined) return;
    // The row of the field itself, or else the first row inside it.
    const known = [...this.#rows.in.keys()].find((one) => one === name) ?? [...this.#rows.in.keys()].find((one) => one.startsWith(`${name}.`));
    if (known !== undefined) this.#hold({ side: 'in', name: known }, true);
  }

  get #edges() {
    const { edges, decides } = this.#answer;
    const verdicts = Object.entries(decides).filter(([, one]) => one.drop > 0 || one.fan_out > 0).map(([from, one]) => ({
      from, to: VERDICT, kind: 'conditional', indirect: true, events: one.drop + one.fan_out, tested: 0, example: one.example,
      word: one.drop > 0 ? 'decides whether the event is dropped' : 'decides how many events go out',
    }));
    return [...edges.filter(({ from }) => from !== CONSTANT), ...verdicts];
  }

  show() {
    if (byId('tab-lineage').getAttribute('aria-selected') !== 'true') return;
    const view = byId('view');
    if (this.#answer === undefined) {
      view.replaceChildren(note(this.#running ? 'Measuring: the event runs again and again, with one field changed at a time…' : this.#failed ?? ''));
      return;
    }
    const { events, runs, edges, came } = this.#answer;
    const constants = edges.filter(({ from }) => from === CONSTANT);
    const ins = [...new Set([...Object.keys(came), ...this.#edges.map(({ from }) => from)])];
    const outs = [...new Set([...edges.map(({ to }) => to), ...this.#edges.map(({ to }) => to)])]
      .sort((a, b) => Number(a === VERDICT) - Number(b === VERDICT) || (a < b ? -1 : 1));
    const used = new Set(this.#edges.map(({ from }) => from));
    this.#rows = { in: new Map(), out: new Map() };
    const column = (side, title, names, word) => make('div', { class: `column ${side}`, role: 'group', 'aria-label': title }, make('h2', {}, title),
      make('ul', {}, ...names.map((name) => this.#row(side, name, word(name)))));
    const about = `${events.all === 1 ? 'this event' : `${events.all} events`}, ${runs} runs`;
    view.replaceChildren(
      make('div', { class: 'line' }, make('span', { class: 'muted', role: 'status' },
        this.#failed ?? (this.#running ? 'Measuring again…' : `Measured over ${about}. Point at a field.`))),
      make('div', { class: 'lineage' },
        column('in', 'What comes in', ins, (name) => (used.has(name) ? undefined : 'goes nowhere')),
        column('out', 'What goes out', outs, (name) => {
          const constant = constants.find(({ to }) => to === name);
          return constant && `always ${JSON.stringify(constant.value)}`;
        })),
      make('div', { class: 'edges', id: 'edges', role: 'status', 'aria-live': 'polite' }));
    if (this.#held !== undefined) this.#light(this.#held);
  }

  #row(side, name, word) {
    const one = { side, name };
    const button = make('button', {
      type: 'button', 'aria-pressed': 'false', 'data-field': name,
      pointerenter: () => this.#point(one), pointerleave: () => this.#point(undefined), focus: () => this.#point(one), blur: () => this.#point(undefined),
      click: () => this.#hold(one, false),
    }, path(name === VERDICT ? 'the verdict' : name), word && make('span', { class: 'muted' }, ` ${word}`));
    this.#rows[side].set(name, button);
    return make('li', {}, button);
  }

  #point(one) {
    this.#pointed = one;
    this.#light(one ?? this.#held);
  }

  /** Keeps the selected field highlighted; selecting it again ends that. */
  #hold(one, byCursor) {
    const same = this.#held?.side === one.side && this.#held.name === one.name;
    this.#held = same && !byCursor ? undefined : one;
    this.#light(this.#pointed ?? this.#held);
    if (byCursor) showFirst(this.#rows[one.side].get(one.name));
    else if (one.side === 'in' && this.#held !== undefined) this.#chosen(one.name);
  }

  /** Highlights a field and everything that it flows to, or comes from, with the kind of each flow. */
  #light(one) {
    const [own, other] = one?.side === 'out' ? ['to', 'from'] : ['from', 'to'];
    const found = one === undefined ? [] : this.#edges.filter((edge) => edge[own] === one.name);
    for (const [side, rows] of Object.entries(this.#rows)) {
      for (const [name, button] of rows) {
        const isSelf = one?.side === side && one.name === name;
        const edge = side === one?.side ? undefined : found.find((candidate) => candidate[other] === name);
        button.classList.toggle('lit', isSelf || edge !== undefined);
        button.classList.toggle('indirect', edge?.indirect === true);
        button.classList.toggle('dim', one !== undefined && !isSelf && edge === undefined);
        button.setAttribute('aria-pressed', String(this.#held?.side === side && this.#held.name === name));
      }
      if (side !== one?.side) showFirst([...rows.values()].find((button) => button.classList.contains('lit')));
    }
    const edges = byId('edges');
    if (edges === null) return;
    const about = one === undefined ? [] : [make('h2', {}, ...this.#title(one, found)), make('ul', {}, ...found.map((edge) => this.#edge(edge, other)))];
    edges.replaceChildren(...about);
  }

  #title({ side, name }, found) {
    const constant = this.#answer.edges.find(({ from, to }) => side === 'out' && from === CONSTANT && to === name);
    if (constant) return [path(name), ` is always ${JSON.stringify(constant.value)}`];
    if (side === 'out') return [path(name === VERDICT ? 'the verdict' : name), found.length === 0 ? ' comes from no field' : ' comes from'];
    const read = this.#answer.reads[name];
    const lines = read === undefined ? '' : `, read at ${Object.keys(read.lines).join(', ')}`;
    return [path(name), found.length === 0 ? ` goes nowhere${read === undefined ? ', and nothing reads it' : lines}` : ` goes to${lines ? ` (${lines.slice(2)})` : ''}`];
  }

  #edge({ from, to, kind, word = WORDS[kind], events, example }, other) {
    const [before, after] = example?.input ?? [];
    const [old, fresh] = example?.output ?? [];
    const side = (text) => text ?? 'nothing';
    const changed = example === undefined || example === null || (before === null && after === null) || before === after ? undefined
      : `${example.given ? `${example.given}: ` : ''}${side(before)} → ${side(after)} gives ${side(old)} → ${side(fresh)}`;
    const name = { from, to }[other];
    return make('li', {}, path(name === VERDICT ? 'the verdict' : name), make('span', { class: 'muted' }, ` ${word}${events === 0 ? ', in changed events' : ''}`),
      changed && make('code', {}, changed));
  }
}
