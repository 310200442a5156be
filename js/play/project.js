// The project's files. Each file has its own editor, so that it keeps its undo history.
import * as api from './api.js';
import { completions, exportsOf } from './complete.js';
import { byId, make } from './dom.js';
import { Editor } from './editor.js';

const language = (path) => (/\.m?ts$/.test(path) ? 'typescript' : 'javascript');

/** Path → { path, role, handle, base, saved, editor, tab }. */
export class Project {
  #files = new Map();
  #changed;
  #about;
  /** The exports of libraries whose files are not in the project, by import name. */
  exports = {};
  /** The file in the editor, and the transformation that is run. */
  shown;
  entry;

  /** `changed` is called after edits; `about` gives the data for completions: `events()` and `metadata()`. */
  constructor(changed, about) {
    this.#changed = changed;
    this.#about = { ...about, libraries: () => this.#libraries() };
  }

  /** Import names of libraries, with the exports of their texts in the editor. */
  #libraries() {
    const own = this.all.filter(({ role, handle }) => role === 'library' && handle !== undefined && handle !== null);
    const found = new Map(Object.entries(this.exports));
    for (const { handle, editor } of own) found.set(handle, exportsOf(editor.value));
    return found;
  }

  get all() {
    return [...this.#files.values()];
  }

  get(path) {
    return this.#files.get(path);
  }

  /** Adds a file. `base` is undefined for a file that is not on disk yet. */
  add({ path, role, handle = undefined }, text, base = undefined) {
    const tab = make('button', {
      type: 'button', role: 'tab', 'aria-selected': 'false', tabindex: '-1', 'aria-controls': 'code', 'data-path': path,
    }, path);
    const file = { path, role, handle, base, saved: base === undefined ? undefined : text, tab };
    file.editor = new Editor(byId('code'), {
      label: `Code of ${path}`, language: language(path), value: text,
      complete: completions(this.#about, /\.(?:test|spec)\./.test(path)),
      input: () => {
        this.#note(file);
        this.#changed();
      },
    });
    file.editor.element.hidden = true;
    this.#files.set(path, file);
    byId('files').append(tab);
    this.#note(file);
    this.know(file, { role, handle });
    return file;
  }

  /** The role of a file in the project. */
  know(file, { role, handle }) {
    Object.assign(file, { role, handle });
    file.tab.dataset.role = role;
    file.tab.title = `${file.path}: ${role === 'library' ? `library, imported as '${handle}'` : role}`;
  }

  show(file) {
    if (this.shown !== undefined) this.shown.editor.element.hidden = true;
    file.editor.element.hidden = false;
    this.shown = file;
    if (file.role === 'transformation') this.entry = file;
    for (const one of this.all) one.tab.toggleAttribute('data-entry', one === this.entry);
  }

  /** Files that differ from the disk. */
  get unsaved() {
    return this.all.filter((file) => file.base !== undefined && this.isDirty(file)).map(({ path }) => path);
  }

  isDirty(file) {
    return file.editor.value !== file.saved;
  }

  #note(file) {
    const dirty = this.isDirty(file);
    file.tab.toggleAttribute('data-dirty', dirty);
    file.tab.setAttribute('aria-label', dirty ? `${file.path}, not saved` : file.path);
  }

  /** Texts that differ from the disk, by path, and always that of the transformation. */
  texts() {
    const dirty = this.all.filter((file) => file === this.entry || this.isDirty(file));
    return Object.fromEntries(dirty.map((file) => [file.path, file.editor.value]));
  }

  async save(file) {
    const text = file.editor.value;
    const { version } = await api.save(file.path, text, file.base);
    file.base = version;
    file.saved = text;
    this.#note(file);
  }
}
