// The current event: samples, files of the folder or of the user, one of many events at a time, and metadata.
import * as api from './api.js';
import { byId, make, tabs } from './dom.js';
import { Editor } from './editor.js';
import * as json from './json.js';
import { SAMPLES } from './samples.js';

/**
 * The maximum number of other events of a file that are measured with the shown one, and of characters of their text.
 */
const MAX_BESIDE = 200;
const MAX_TEXT = 2 << 20;

const pretty = (part) => {
  try {
    return json.pretty(json.parse(part));
  } catch {
    // Invalid JSON is shown unchanged; the engine reports the error.
    return part;
  }
};

/** Values of JSON text: one value, an array of values, or one per line; invalid ones are left out. */
const valuesOf = (text) => {
  const parsed = (part) => {
    try {
      return [JSON.parse(part)];
    } catch {
      return [];
    }
  };
  const whole = parsed(text);
  return whole.length > 0 ? whole.flat() : text.split('\n').flatMap(parsed);
};

export class Events {
  #changed;
  #failed;
  /** The events of the chosen file, as text, and the index of the shown one. */
  #taken = [];
  #at = 0;
  #inputs;

  /** `changed` is called when the input has changed, `failed` with an error, `moved` with a place in the event. */
  constructor({ changed, failed, moved }) {
    this.#changed = changed;
    this.#failed = failed;
    this.event = new Editor(byId('event'), { label: 'Event, JSON', language: 'json', value: '', input: changed, moved });
    this.metadata = new Editor(byId('metadata'), { label: 'Metadata, JSON', language: 'json', value: '', input: changed });
    this.#inputs = tabs(byId('inputs'), (tab) => {
      for (const name of ['event', 'metadata']) byId(name).hidden = tab.id !== `tab-${name}`;
    });
    byId('step-back').addEventListener('click', () => this.#step(-1));
    byId('step-on').addEventListener('click', () => this.#step(1));
  }

  /** The values in the event's editor. */
  get values() {
    return valuesOf(this.event.value);
  }

  get metadataValue() {
    return valuesOf(this.metadata.value)[0] ?? { sourceId: '', sourceType: '', destinationId: '', destinationType: '' };
  }

  /** Other events of the same file, one per line: measuring several events gives better results. */
  get beside() {
    let text = '';
    for (const [at, one] of this.#taken.entries()) {
      if (at === this.#at || at > MAX_BESIDE) continue;
      if (text.length + one.length > MAX_TEXT) break;
      text += `\n${one.replaceAll(/[\r\n]+/g, ' ')}`;
    }
    return text;
  }

  show(name) {
    this.#inputs.select(byId(`tab-${name}`));
  }

  /** Loads the events from the text of a file. */
  take(text) {
    try {
      const tree = json.parse(text);
      this.#taken = tree.kind === 'array' ? tree.items.map(json.compact) : [json.compact(tree)];
    } catch {
      this.#taken = text.split('\n').filter((line) => line.trim() !== '');
    }
    if (this.#taken.length === 0) this.#taken = [''];
    this.#at = 0;
    byId('stepper').hidden = this.#taken.length < 2;
    this.#step(0);
  }

  #step(by) {
    const last = this.#taken.length - 1;
    this.#at = Math.min(Math.max(this.#at + by, 0), last);
    byId('step').textContent = `${this.#at + 1} of ${last + 1}`;
    byId('step-back').disabled = this.#at === 0;
    byId('step-on').disabled = this.#at === last;
    this.put(pretty(this.#taken[this.#at]));
  }

  /** Shows an event that does not come from a file. */
  put(text) {
    this.show('event');
    this.event.value = text;
    this.#changed();
  }

  /** Loads the events from a file of the folder. */
  async read(path) {
    try {
      this.take((await api.read(path)).text);
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Fills the list of sources of events; the folder's own files come first. */
  fill(files) {
    const select = byId('samples');
    const group = (label, entries) => make('optgroup', { label }, ...entries.map(([value, text]) => make('option', { value }, text)));
    if (files.length > 0) select.append(group('From the project', files.map((path) => [`file:${path}`, path])));
    select.append(group('Samples', Object.keys(SAMPLES).map((name) => [`sample:${name}`, name])));
    select.append(group('From elsewhere', [['other', 'a file…']]));
    select.addEventListener('change', () => {
      const at = select.value.indexOf(':');
      const [kind, name] = [select.value.slice(0, at), select.value.slice(at + 1)];
      if (kind === 'sample') this.take(JSON.stringify(SAMPLES[name]));
      else if (kind === 'file') this.read(name);
      else byId('event-file').click();
    });
    byId('event-file').addEventListener('change', async ({ target }) => {
      if (target.files.length > 0) this.take(await target.files[0].text());
    });
  }
}
