// The tests of the folder: run on request, listed, and shown at their lines.
import * as api from './api.js';
import { byId, make } from './dom.js';
import { note } from './result.js';

const SIGNS = { passed: '✓', failed: '✕', skipped: '–', todo: '…' };

const sentence = ({ name, message, matcher }) => (name && !matcher && name !== 'AssertionError' ? `${name}: ${message}` : message);

const differences = (error) => (error.differences ?? []).map(({ path, expected, actual, lines = [] }) => make('div', { class: 'rows difference' },
  make('div', { class: 'muted' }, path || '(the value)'),
  ...(lines.length > 0
    ? lines.map((line) => make('div', { class: { '-': 'removed', '+': 'added' }[line[0]] }, line))
    : [make('div', { class: 'removed' }, `− ${expected ?? '(nothing)'}`), make('div', { class: 'added' }, `+ ${actual ?? '(nothing)'}`)])));

const place = (at, go) => {
  const target = at && go(at.file, at.line, at.column);
  const text = at === undefined ? '' : `${at.file}:${at.line}`;
  return target === undefined ? make('span', { class: 'muted' }, text) : make('button', { type: 'button', class: 'link', click: target }, text);
};

const shown = (test, go) => make('li', { class: test.status },
  make('div', { class: 'test' }, make('span', { class: 'sign', 'aria-hidden': 'true' }, SIGNS[test.status]),
    make('span', { class: 'name' }, test.name), make('span', { class: 'sr' }, test.status), place(test.position, go)),
  ...[test.error, ...(test.more_errors ?? [])].filter((error) => error).flatMap((error) => [
    make('p', { class: 'why' }, sentence(error)), ...differences(error)]),
  ...(test.logs ?? []).map(({ level, message }) => make('p', { class: 'muted' }, `${level}: ${message}`)));

export class Tests {
  #answer;
  #running = false;
  #again;
  #go;
  #unsaved;
  #changed;

  /** `go` goes to a place of the project, `unsaved` names files that differ from the disk, `changed` is a listener. */
  constructor({ go, unsaved, changed }) {
    this.#go = go;
    this.#unsaved = unsaved;
    this.#changed = changed;
  }

  /** Whether the tests have run or are running. */
  get ran() {
    return this.#running || this.#answer !== undefined;
  }

  async run() {
    if (this.#running) {
      this.#again = true;
      return;
    }
    this.#running = true;
    this.#changed();
    try {
      this.#answer = await api.test();
    } catch (error) {
      this.#answer = { problem: error.message };
    }
    this.#running = false;
    this.#changed();
    if (this.#again) {
      this.#again = false;
      await this.run();
    }
  }

  /** Failing tests as places, by file: { line, column, message }. */
  get places() {
    const found = new Map();
    const add = (at, message) => {
      if (at !== undefined) found.set(at.file, [...(found.get(at.file) ?? []), { ...at, message }]);
    };
    for (const file of this.#answer?.files ?? []) {
      if (file.error) add(file.error.position, file.error.message);
      for (const test of file.tests) if (test.error) add(test.position, `${test.name}: ${sentence(test.error)}`);
    }
    return found;
  }

  /** Every test with its line, for one file: { line, status, name }. */
  at(path) {
    const tests = (this.#answer?.files ?? []).flatMap((file) => file.tests);
    return tests.filter(({ position }) => position?.file === path).map(({ position, status, name }) => ({ line: position.line, status, name }));
  }

  /** Shows the result on the tab. */
  showCount() {
    const { passed, failed, broken_files: broken } = this.#answer ?? {};
    const bad = (failed ?? 0) + (broken ?? 0);
    byId('tab-tests').replaceChildren('Tests', this.#answer === undefined || this.#answer.problem !== undefined ? ''
      : make('span', { class: bad > 0 ? 'count bad' : 'count', 'aria-label': bad > 0 ? `${bad} failed` : `${passed} passed` }, String(bad > 0 ? bad : passed)));
  }

  show() {
    const unsaved = this.#unsaved();
    const stale = unsaved.length === 0 ? undefined : note(`Tests run what is on disk; not saved: ${unsaved.join(', ')}.`);
    const button = make('button', { type: 'button', click: () => this.run(), disabled: this.#running }, this.#running ? 'Running…' : 'Run the tests');
    const found = this.#answer;
    const head = make('div', { class: 'line' }, button, this.#summary());
    const body = [];
    if (found?.problem !== undefined) body.push(note(found.problem));
    for (const file of found?.files ?? []) {
      body.push(make('h2', {}, file.file));
      if (file.error) body.push(make('p', { class: 'why' }, place(file.error.position, this.#go), ' ', file.error.message));
      body.push(make('ul', { class: 'tests' }, ...file.tests.map((test) => shown(test, this.#go))));
    }
    byId('view').replaceChildren(head, ...(stale ? [stale] : []), ...body);
  }

  #summary() {
    const found = this.#answer;
    if (found === undefined || found.problem !== undefined) return make('span', { class: 'muted' }, 'the folder’s test files and cases, as `sluicegate test` runs them');
    const { passed, failed, skipped, todo, broken_files: broken } = found;
    const parts = [[passed, 'passed'], [failed, 'failed'], [broken, broken === 1 ? 'file that does not load' : 'files that do not load'], [skipped, 'skipped'], [todo, 'todo']];
    const text = parts.filter(([many]) => many > 0).map(([many, word]) => `${many} ${word}`).join(', ') || 'no test was found';
    return make('span', { role: 'status', class: failed + broken > 0 ? 'verdict failed' : passed > 0 ? 'verdict ok' : 'verdict' }, text);
  }
}
