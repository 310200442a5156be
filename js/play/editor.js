// A text field with colours: a textarea, whose own text is transparent, over a layer that shows the same text. The
// browser does the editing, so undo, input methods, selection and screen readers work as everywhere.
import { make } from './dom.js';
import { highlight } from './highlight.js';

const INDENT = '  ';

/** Replaces the selection as typing would, so that it can be undone. */
const type = (area, text) => {
  // The only way to edit a textarea that keeps its undo history.
  const command = text === '' ? 'delete' : 'insertText';
  if (!document.execCommand(command, false, text)) {
    area.setRangeText(text, area.selectionStart, area.selectionEnd, 'end');
    area.dispatchEvent(new Event('input'));
  }
};

export class Editor {
  #area;
  #layer;
  #gutter;
  #language;
  /** What each row shows, to touch only those that changed. */
  #shown = [];
  #marks = new Map();
  #leaving = false;

  constructor(host, { label, language, value, problem, input }) {
    this.#language = language;
    this.#layer = make('div', { class: 'layer', 'aria-hidden': 'true' });
    this.#gutter = make('div', { class: 'gutter', 'aria-hidden': 'true' });
    this.#area = make('textarea', {
      'aria-label': label, 'aria-describedby': problem, spellcheck: 'false', autocapitalize: 'off', autocomplete: 'off', wrap: 'off',
      input: () => {
        this.#draw();
        input();
      },
      scroll: () => this.#follow(),
      keydown: (event) => this.#key(event),
      blur: () => {
        this.#leaving = false;
      },
    });
    this.#area.value = value;
    this.element = make('div', { class: 'editor' },
      make('div', { class: 'numbers' }, this.#gutter),
      make('div', { class: 'text' }, this.#layer, this.#area));
    host.append(this.element);
    this.#draw();
  }

  get value() {
    return this.#area.value;
  }

  set value(text) {
    this.#area.value = text;
    this.#area.setSelectionRange(0, 0);
    this.#area.scrollTo(0, 0);
    this.#draw();
  }

  get area() {
    return this.#area;
  }

  focus() {
    this.#area.focus();
  }

  /** Marks places: { line, column, endColumn, message }, counted from 1. */
  mark(places) {
    this.#marks = new Map();
    for (const place of places) if (place.line > 0 && !this.#marks.has(place.line)) this.#marks.set(place.line, place);
    this.#area.setAttribute('aria-invalid', String(this.#marks.size > 0));
    this.#draw();
  }

  /** Goes to a place, counted from 1. */
  go(line, column = 1) {
    const lines = this.value.split('\n');
    const at = Math.min(line, lines.length);
    const start = lines.slice(0, at - 1).reduce((sum, text) => sum + text.length + 1, 0);
    const place = start + Math.min(column - 1, lines[at - 1].length);
    this.#area.focus();
    this.#area.setSelectionRange(place, place);
    const height = parseFloat(getComputedStyle(this.#area).lineHeight);
    const top = (at - 1) * height;
    const { scrollTop, clientHeight } = this.#area;
    if (top < scrollTop || top + 2 * height > scrollTop + clientHeight) this.#area.scrollTop = top - clientHeight / 2;
  }

  #follow() {
    const { scrollLeft, scrollTop } = this.#area;
    this.#layer.style.transform = `translate(${-scrollLeft}px, ${-scrollTop}px)`;
    this.#gutter.style.transform = `translateY(${-scrollTop}px)`;
  }

  #draw() {
    const lines = highlight(this.value, this.#language);
    while (this.#layer.childElementCount > lines.length) {
      this.#layer.lastElementChild.remove();
      this.#gutter.lastElementChild.remove();
    }
    this.#shown.length = Math.min(this.#shown.length, lines.length);
    lines.forEach((parts, index) => {
      const mark = this.#marks.get(index + 1);
      const key = JSON.stringify([parts, mark?.column, mark?.endColumn, mark?.message]);
      if (this.#shown[index] === key) return;
      this.#shown[index] = key;
      const row = make('div', { class: mark === undefined ? 'row' : 'row bad' }, ...draw(parts, mark));
      const number = make('div', { class: mark === undefined ? undefined : 'bad' }, String(index + 1));
      if (index < this.#layer.childElementCount) {
        this.#layer.children[index].replaceWith(row);
        this.#gutter.children[index].replaceWith(number);
      } else {
        this.#layer.append(row);
        this.#gutter.append(number);
      }
    });
    this.#follow();
  }

  #key(event) {
    const area = this.#area;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const { selectionStart: start, selectionEnd: end, value } = area;
    if (event.key === 'Escape') {
      this.#leaving = true;
      return;
    }
    if (event.key === 'Tab' && !this.#leaving) {
      event.preventDefault();
      if (event.shiftKey || value.slice(start, end).includes('\n')) this.#indent(event.shiftKey);
      else type(area, INDENT);
      return;
    }
    if (event.key !== 'Shift') this.#leaving = false;
    const lineStart = value.lastIndexOf('\n', start - 1) + 1;
    const before = value.slice(lineStart, start);
    if (event.key === 'Enter') {
      event.preventDefault();
      const indent = /^[ \t]*/.exec(before)[0];
      const opens = /[{([]\s*$/.test(before);
      const closes = /^\s*[})\]]/.test(value.slice(end));
      if (opens && closes) {
        type(area, `\n${indent}${INDENT}\n${indent}`);
        const place = start + 1 + indent.length + INDENT.length;
        area.setSelectionRange(place, place);
      } else type(area, `\n${indent}${opens ? INDENT : ''}`);
    } else if (/^[})\]]$/.test(event.key) && start === end && before.endsWith(INDENT) && before.trim() === '') {
      // A closing sign alone on its line steps back.
      event.preventDefault();
      area.setSelectionRange(start - INDENT.length, end);
      type(area, event.key);
    } else if (event.key === 'Backspace' && start === end && before.trim() === '' && before.length % 2 === 0 && before.endsWith(INDENT)) {
      event.preventDefault();
      area.setSelectionRange(start - INDENT.length, end);
      type(area, '');
    }
  }

  /** Moves the lines of the selection to the right, or back. */
  #indent(back) {
    const area = this.#area;
    const { value, selectionStart, selectionEnd } = area;
    const start = value.lastIndexOf('\n', selectionStart - 1) + 1;
    const found = value.indexOf('\n', Math.max(selectionStart, selectionEnd - 1));
    const end = found < 0 ? value.length : found;
    const old = value.slice(start, end);
    const text = back ? old.replaceAll(/^(?: {1,2}|\t)/gm, '') : old.replaceAll(/^(?=.)/gm, INDENT);
    if (text === old) return;
    area.setSelectionRange(start, end);
    type(area, text);
    const first = text.split('\n')[0].length - old.split('\n')[0].length;
    const from = Math.max(start, selectionStart + first);
    area.setSelectionRange(from, selectionStart === selectionEnd ? from : start + text.length);
  }
}

/** The column after a mark: where only its beginning is known, that of the word. */
const end = (parts, { column, endColumn }) => {
  if (endColumn > column + 1) return endColumn;
  const rest = parts.map(([, text]) => text).join('').slice(column - 1);
  return column + Math.max(/^[\p{ID_Continue}$]*/u.exec(rest)[0].length, 1);
};

/** The elements of a row: its coloured parts, the marked columns underlined, the message behind. */
const draw = (parts, mark) => {
  const from = mark === undefined ? Infinity : mark.column - 1;
  const to = mark === undefined ? Infinity : end(parts, mark) - 1;
  const drawn = [];
  let at = 0;
  const span = (kind, text) => {
    const bad = mark !== undefined && at >= from && at < to;
    const names = [kind === '' ? '' : `t-${kind}`, bad ? 'squiggle' : ''].filter((name) => name !== '').join(' ');
    drawn.push(names === '' ? text : make('span', { class: names }, text));
    at += text.length;
  };
  for (const [kind, text] of parts) {
    const cuts = [from - at, to - at].filter((cut) => cut > 0 && cut < text.length);
    [0, ...cuts].forEach((cut, index, all) => span(kind, text.slice(cut, all[index + 1])));
  }
  if (mark !== undefined) {
    // A place behind the last sign, such as an end that came too early.
    if (from >= at) drawn.push(make('span', { class: 'squiggle' }, ' '));
    drawn.push(make('span', { class: 'message' }, mark.message));
  }
  return drawn;
};
