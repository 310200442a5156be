// A text field for code or JSON: CodeMirror, with the page's colours, marks for errors, and completion. It is in a
// shadow root, because there CodeMirror can create its style sheets under a policy that forbids inline styles
// (`adoptedStyleSheets`).
import {
  acceptCompletion, autocompletion, bracketMatching, closeBrackets, closeBracketsKeymap, completionKeymap, Decoration, defaultKeymap,
  drawSelection, EditorState, EditorView, gutterLineClass, GutterMarker, HighlightStyle, highlightSelectionMatches,
  highlightSpecialChars, history, historyKeymap, indentLess, indentMore, indentOnInput, indentUnit, javascript, json, keymap,
  lineNumbers, Prec, RangeSet, search, searchKeymap, StateEffect, StateField, syntaxHighlighting, syntaxTree, tags, WidgetType,
} from './codemirror.js';
import { make } from './dom.js';

const INDENT = '  ';

const color = (name) => `var(--${name})`;
const colors = syntaxHighlighting(HighlightStyle.define([
  { tag: [tags.keyword, tags.modifier, tags.operatorKeyword, tags.controlKeyword, tags.definitionKeyword, tags.moduleKeyword, tags.self], color: color('keyword') },
  { tag: [tags.string, tags.regexp, tags.special(tags.string)], color: color('string') },
  { tag: [tags.number, tags.bool, tags.null, tags.atom], color: color('number') },
  { tag: [tags.function(tags.variableName), tags.function(tags.propertyName), tags.className, tags.typeName], color: color('function') },
  { tag: [tags.propertyName, tags.labelName], color: color('property') },
  { tag: [tags.comment], color: color('faint'), fontStyle: 'italic' },
  { tag: [tags.operator, tags.punctuation, tags.bracket], color: color('muted') },
]));

const theme = EditorView.theme({
  '&': { height: '100%', fontSize: 'inherit', color: color('ink'), backgroundColor: 'transparent' },
  '&.cm-focused': { outline: 'none', boxShadow: `inset 2px 0 0 ${color('focus')}` },
  '.cm-scroller': { fontFamily: color('mono'), lineHeight: '21px' },
  '.cm-content': { padding: '8px 0', caretColor: color('ink') },
  '.cm-line': { padding: '0 12px' },
  '.cm-cursor': { borderLeftColor: color('ink') },
  '.cm-gutters': { backgroundColor: 'transparent', color: color('faint'), borderRight: `1px solid ${color('line')}` },
  '.cm-lineNumbers .cm-gutterElement': { padding: '0 9px 0 14px', minWidth: '42px' },
  '.cm-gutterElement.bad': { backgroundColor: color('bad-ground'), color: color('bad'), fontWeight: '700' },
  '.cm-gutterElement.passed': { color: color('good'), fontWeight: '700' },
  '.cm-gutterElement.failed': { color: color('bad'), fontWeight: '700' },
  '.cm-gutterElement.skipped, .cm-gutterElement.todo': { color: color('warn') },
  '.cm-gutterElement.passed::before': { content: '"✓ "' },
  '.cm-gutterElement.failed::before': { content: '"✕ "' },
  '.cm-line.bad': { backgroundColor: color('bad-ground') },
  '.squiggle': {
    textDecoration: `underline wavy ${color('bad')} 1.2px`, textUnderlineOffset: '4px', textDecorationSkipInk: 'none',
  },
  '.message': { marginLeft: '3ch', color: color('bad'), fontFamily: color('sans'), fontSize: '12.5px' },
  '.message::before': { content: '"✕ "' },
  '.cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground': { background: color('selection') },
  '& ::selection': { backgroundColor: color('selection') },
  '.cm-selectionMatch, .cm-searchMatch': { backgroundColor: color('match') },
  '.cm-searchMatch.cm-searchMatch-selected': { backgroundColor: color('match'), outline: `2px solid ${color('focus')}` },
  '&.cm-focused .cm-matchingBracket': { backgroundColor: color('match') },
  '&.cm-focused .cm-nonmatchingBracket': { color: color('bad') },
  '.cm-panels': { backgroundColor: color('ground'), color: color('ink'), borderColor: color('line') },
  '.cm-panel.cm-search': { display: 'flex', flexWrap: 'wrap', gap: '6px', alignItems: 'center', padding: '6px 34px 6px 10px' },
  '.cm-panel.cm-search br': { display: 'none' },
  '.cm-panel.cm-search label': { fontSize: '12.5px', display: 'inline-flex', alignItems: 'center', margin: '0' },
  '.cm-panel.cm-search [name=close]': { color: color('ink'), fontSize: '18px', top: '4px', right: '8px' },
  '.cm-textfield': { backgroundColor: color('raised'), color: color('ink'), borderColor: color('line'), fontSize: '13px', margin: '0' },
  '.cm-button': {
    backgroundImage: 'none', backgroundColor: color('raised'), color: color('ink'), borderColor: color('line'), fontSize: '12.5px', margin: '0',
  },
  '.cm-textfield:focus-visible, .cm-button:focus-visible, [name=close]:focus-visible': { outline: `2px solid ${color('focus')}` },
  '.cm-tooltip': { backgroundColor: color('raised'), color: color('ink'), borderColor: color('line'), borderRadius: '6px' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': { fontFamily: color('mono'), fontSize: '12.5px', maxHeight: '14em' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li': { padding: '2px 8px' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: color('accent'), color: color('on-accent') },
  '.cm-tooltip-autocomplete ul li[aria-selected] .cm-completionDetail': { color: color('on-accent') },
  '.cm-completionDetail': { color: color('muted'), fontStyle: 'normal' },
});

// --- marks for errors -----------------------------------------------------------------------------------------------

const setMarks = StateEffect.define();

class Message extends WidgetType {
  constructor(text) {
    super();
    this.text = text;
  }

  eq(other) {
    return other.text === this.text;
  }

  toDOM() {
    return make('span', { class: 'message' }, this.text);
  }
}

class Sign extends GutterMarker {
  constructor(name) {
    super();
    this.elementClass = name;
  }
}
const SIGNS = Object.fromEntries(['bad', 'passed', 'failed', 'skipped', 'todo'].map((name) => [name, new Sign(name)]));

/**
 * The decorations of places { line, column, endColumn, message }, counted from 1; the first place of a line counts. A
 * place that is a sign ({ line, sign }) is shown only next to the line number.
 */
const decorated = (state, places) => {
  const found = new Map();
  const signs = new Map();
  for (const place of places) {
    if (!(place.line > 0 && place.line <= state.doc.lines)) continue;
    const kind = place.sign ?? 'bad';
    if (!signs.has(place.line)) signs.set(place.line, kind);
    if (place.sign === undefined && !found.has(place.line)) found.set(place.line, place);
  }
  const drawn = [...found.values()].sort((a, b) => a.line - b.line).flatMap(({ line: number, column = 1, endColumn, message }) => {
    const line = state.doc.line(number);
    const from = Math.min(line.from + column - 1, line.to);
    // If only the start is known, the word is marked.
    const word = /^[\p{ID_Continue}$]*/u.exec(line.text.slice(from - line.from))[0].length;
    const to = Math.min(endColumn > column + 1 ? line.from + endColumn - 1 : from + Math.max(word, 1), line.to);
    const squiggle = to > from ? [Decoration.mark({ class: 'squiggle' }).range(from, to)] : [];
    return [Decoration.line({ class: 'bad' }).range(line.from), ...squiggle,
      Decoration.widget({ widget: new Message(message), side: 1 }).range(line.to)];
  });
  const numbers = [...signs].sort(([a], [b]) => a - b).map(([line, kind]) => SIGNS[kind].range(state.doc.line(line).from));
  return { drawn: Decoration.set(drawn, true), numbers: RangeSet.of(numbers) };
};

const marks = StateField.define({
  create: () => ({ drawn: Decoration.none, numbers: RangeSet.empty }),
  update(value, transaction) {
    for (const effect of transaction.effects) if (effect.is(setMarks)) return decorated(transaction.state, effect.value);
    if (!transaction.docChanged) return value;
    return { drawn: value.drawn.map(transaction.changes), numbers: value.numbers.map(transaction.changes) };
  },
  provide: (field) => [
    EditorView.decorations.from(field, ({ drawn }) => drawn),
    EditorView.contentAttributes.from(field, ({ drawn }) => ({ 'aria-invalid': String(drawn.size > 0) })),
    gutterLineClass.from(field, ({ numbers }) => numbers),
  ],
});

// --- the editor -----------------------------------------------------------------------------------------------------

/** Tab accepts a completion, indents the selected lines, or otherwise moves on. After Escape it leaves the editor. */
const tab = (view) => {
  if (acceptCompletion(view)) return true;
  if (view.state.selection.ranges.some((range) => !range.empty)) return indentMore(view);
  view.dispatch(view.state.replaceSelection(INDENT), { userEvent: 'input', scrollIntoView: true });
  return true;
};

/**
 * Handles typing over a selection. The browser would keep the old text's look with inline styles, which the page's
 * policy forbids. Input methods are left alone.
 */
const typeOver = (event, view) => {
  if (event.inputType !== 'insertText' || event.isComposing || !event.data || view.state.selection.ranges.length > 1) return false;
  // The browser's selection; the state may be updated later.
  const selected = view.root.getSelection?.();
  if (!selected || selected.isCollapsed || !view.contentDOM.contains(selected.anchorNode)) return false;
  const ends = [[selected.anchorNode, selected.anchorOffset], [selected.focusNode, selected.focusOffset]];
  const [from, to] = ends.map(([node, offset]) => view.posAtDOM(node, offset)).sort((a, b) => a - b);
  const insert = () => ({ changes: { from, to, insert: event.data }, selection: { anchor: from + event.data.length } });
  const handled = view.state.facet(EditorView.inputHandler).some((handler) => handler(view, from, to, event.data, insert));
  if (!handled) view.dispatch(insert(), { userEvent: 'input.type', scrollIntoView: true });
  event.preventDefault();
  return true;
};

const languages = {
  javascript: () => javascript(), typescript: () => javascript({ typescript: true }), json: () => json(),
};
/**
 * Several cursors, drawn by the editor. Without a fine pointer, the system's own selection with its handles is used.
 */
const cursors = () => (matchMedia('(pointer: fine)').matches ? [drawSelection(), EditorState.allowMultipleSelections.of(true)] : []);

export class Editor {
  #view;
  #extensions;

  /** `complete` are sources of completions; `moved` is called with the position of the cursor. */
  constructor(host, { label, language, value, input, complete = [], moved = undefined }) {
    this.element = make('div', { class: 'editor' });
    const root = this.element.attachShadow({ mode: 'open' });
    this.#extensions = [
      lineNumbers(), highlightSpecialChars(), history(), indentOnInput(), bracketMatching(), closeBrackets(), highlightSelectionMatches(),
      search({ top: true }), languages[language](), indentUnit.of(INDENT), EditorState.tabSize.of(2), cursors(), marks, colors, theme,
      EditorView.lineWrapping, EditorView.domEventHandlers({ beforeinput: typeOver }),
      autocompletion({ override: complete }),
      EditorView.contentAttributes.of({ 'aria-label': label, spellcheck: 'false', autocapitalize: 'off', autocorrect: 'off' }),
      // Keys of the page.
      Prec.highest(keymap.of([{ key: 'Mod-Enter', run: () => true }, { key: 'F8', run: () => true }])),
      keymap.of([{ key: 'Tab', run: tab, shift: indentLess }]),
      keymap.of([...closeBracketsKeymap, ...completionKeymap, ...searchKeymap, ...historyKeymap, ...defaultKeymap]),
      EditorView.updateListener.of((update) => {
        if (update.docChanged) input();
        if (update.selectionSet && moved !== undefined) moved(update.state.selection.main.head);
      }),
    ];
    host.append(this.element);
    this.#view = new EditorView({ parent: root, root, state: this.#stateOf(value) });
    // Form fields have this property too.
    Object.defineProperty(this.element, 'value', { get: () => this.value });
  }

  #stateOf(text) {
    return EditorState.create({ doc: text, extensions: this.#extensions });
  }

  get value() {
    return this.#view.state.doc.toString();
  }

  /** Sets another text, with its own undo history. */
  set value(text) {
    this.#view.setState(this.#stateOf(text));
    this.#view.scrollDOM.scrollTo(0, 0);
  }

  get state() {
    return this.#view.state;
  }

  /** Replaces the text as typing would, so that it can be undone. */
  replace(text) {
    this.#view.dispatch({ changes: { from: 0, to: this.#view.state.doc.length, insert: text } });
  }

  focus() {
    this.#view.focus();
  }

  /** Marks places: { line, column, endColumn, message }, counted from 1. */
  mark(places) {
    this.#view.dispatch({ effects: setMarks.of(places) });
  }

  /** Goes to a place, counted from 1. */
  go(line, column = 1) {
    const { doc } = this.#view.state;
    const found = doc.line(Math.min(Math.max(line, 1), doc.lines));
    const at = Math.min(found.from + column - 1, found.to);
    this.#view.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: 'center' }) });
    this.focus();
  }

  /** Selects the text from one place to another, and shows it. */
  select(from, to) {
    this.#view.dispatch({ selection: { anchor: from, head: to }, effects: EditorView.scrollIntoView(from, { y: 'center' }) });
  }
}

// --- fields of JSON -------------------------------------------------------------------------------------------------

const keyOf = (state, property) => {
  const name = property.getChild('PropertyName');
  try {
    return JSON.parse(state.sliceDoc(name.from, name.to));
  } catch {
    return undefined;
  }
};

/**
 * The field at a place of JSON text, in lineage's notation: `properties.products[].price`; undefined outside fields.
 */
export const fieldAt = (state, at) => {
  const steps = [];
  for (let node = syntaxTree(state).resolveInner(at, -1); node !== null; node = node.parent) {
    if (node.name === 'Property') steps.unshift(`.${keyOf(state, node)}`);
    else if (node.name === 'Array') steps.unshift('[]');
  }
  return steps.join('').replace(/^(?:\[\])?\./, '') || undefined;
};

/** The place of a path's field in JSON text: { from, to } of its property. */
export const placeOf = (state, path) => {
  let found;
  syntaxTree(state).iterate({
    enter: ({ name, from, to, node }) => {
      if (found === undefined && name === 'Property' && fieldAt(state, node.getChild('PropertyName')?.to ?? from) === path) found = { from, to };
      return found === undefined;
    },
  });
  return found;
};
