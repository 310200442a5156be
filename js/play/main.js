// The page as a whole: what happens when.
import * as api from './api.js';
import { ask, byId, make, tabs } from './dom.js';
import { Editor } from './editor.js';
import * as json from './json.js';
import { Project } from './project.js';
import { inWords, showCost, showLogCount, showVerdict, showView, stackOf, verdictsOf } from './result.js';
import { FIRST_CODE, FIRST_FILE, FIRST_LIBRARY, FIRST_TYPED, SAMPLES } from './samples.js';

/** Between the last keystroke and a run, and until it is worth saying that one is under way, in milliseconds. Where code
 * may ask the network, half-written requests must not be sent. */
const PAUSE = 120;
const PAUSE_WITH_NETWORK = 700;
const SLOW = 400;

const say = (text, kind = '') => {
  const status = byId('status');
  status.className = kind;
  status.textContent = text;
};
const sayError = (error) => say(error instanceof TypeError
  ? 'The playground does not answer: start `sluicegate play` again.' : error.message, 'bad');

// --- running --------------------------------------------------------------------------------------------------------

let timer;
let current;
let network = null;
/** What is shown: { events, verdicts, go }. */
let seen = { events: [], verdicts: [] };
let view = 'changes';
/** Where F8 goes. */
let places = [];

const project = new Project(() => schedule());
const schedule = () => {
  clearTimeout(timer);
  timer = setTimeout(run, network === null ? PAUSE : PAUSE_WITH_NETWORK);
};
const event = new Editor(byId('event'), {
  label: 'Event, JSON', language: 'json', value: '', problem: 'event-problem', input: () => schedule(),
});
const metadata = new Editor(byId('metadata'), {
  label: 'Metadata, JSON', language: 'json', value: '', problem: 'event-problem', input: () => schedule(),
});

const trial = () => ({ file: project.entry.path, texts: project.texts(), events: event.value, metadata: metadata.value });

async function run() {
  clearTimeout(timer);
  // The latest wins: what is under way is given up, its worker with it.
  current?.abort();
  const own = new AbortController();
  current = own;
  const slow = setTimeout(() => {
    if (current === own) showVerdict('busy', 'running…');
  }, SLOW);
  try {
    const text = await api.attempt(trial(), own.signal);
    if (current === own) show(json.parse(text));
  } catch (error) {
    if (error.name !== 'AbortError' && current === own) {
      showVerdict('failed', 'not run');
      sayError(error);
    }
  } finally {
    clearTimeout(slow);
  }
}

/** Goes to a place of a stack, if it is one in the project. */
const goTo = (files) => (name, line, column) => {
  const file = project.get(files[name] ?? name);
  return file && (() => {
    open(file);
    file.editor.go(line, column);
  });
};

function show(answer) {
  const problem = json.plain(json.get(answer, 'problem')) ?? undefined;
  const files = json.plain(json.get(answer, 'files')) ?? {};
  const go = goTo(files);
  for (const one of [event, metadata, ...project.all.map(({ editor }) => editor)]) one.mark([]);
  places = [];
  const allowed = json.plain(json.get(answer, 'network'));
  // What could not even be read says nothing about it.
  if (problem === undefined || allowed !== null) {
    network = allowed;
    byId('network').textContent = network === null ? '' : `network: ${network}`;
  }
  if (problem !== undefined) {
    showVerdict('failed', editorOf(problem.file, files) === event ? 'no event' : 'does not load');
    showCost(undefined, 0);
    seen = { events: [], verdicts: [] };
    showLogCount([]);
    byId('view').replaceChildren(make('div', { class: 'failure' }, ...explained(problem, go)));
  } else {
    const tree = json.get(answer, 'answer');
    const verdicts = verdictsOf(tree);
    seen = { events: json.get(answer, 'events').items, verdicts, go };
    showVerdict(...inWords(verdicts));
    showCost(tree, json.plain(json.get(answer, 'load')));
    showLogCount(verdicts);
    showView(view, seen);
  }
  const failure = problem ?? seen.verdicts.find(({ verdict }) => verdict === 'failed');
  markProblem(failure, files);
}

const editorOf = (file, files) => ({ event, metadata })[file] ?? project.get(files[file] ?? file)?.editor;

/** The lines of text that explain a problem. */
const explained = (problem, go) => [
  make('p', {}, make('strong', {}, problem.kind && problem.name ? `${problem.name}: ${problem.message}` : problem.message)),
  problem.help ? make('p', { class: 'help' }, `help: ${problem.help}`) : undefined,
  problem.stack && problem.kind === undefined ? stackOf(problem.stack, go) : undefined,
];

function markProblem(problem, files) {
  const boxes = { code: byId('code-problem'), event: byId('event-problem') };
  for (const box of Object.values(boxes)) box.hidden = true;
  if (problem === undefined) return;
  const editor = editorOf(problem.file, files);
  const message = problem.kind && problem.name ? `${problem.name}: ${problem.message}` : problem.message;
  if (editor !== undefined && problem.line !== undefined && problem.line !== null) {
    editor.mark([{ ...problem, message }]);
    places = [{ file: files[problem.file] ?? problem.file, line: problem.line, column: problem.column }];
  }
  const typed = editor === event || editor === metadata;
  const box = typed ? boxes.event : boxes.code;
  const file = files[problem.file] ?? problem.file;
  const where = problem.line && editor !== undefined ? `${typed ? 'line ' : `${file}:`}${problem.line}${typed ? '' : `:${problem.column}`}` : undefined;
  box.replaceChildren(...[
    where && make('button', { type: 'button', class: 'link', click: goToPlace }, where),
    where && ' ',
    message,
    problem.help ? make('span', { class: 'help' }, ` help: ${problem.help}`) : undefined,
  ].filter((part) => part !== undefined && part !== ''));
  box.hidden = false;
}

function goToPlace() {
  const [place] = places;
  if (place === undefined) return;
  if (place.file === 'event' || place.file === 'metadata') {
    inputs.select(byId(`tab-${place.file}`));
    ({ event, metadata })[place.file].go(place.line, place.column);
  } else goTo({})(place.file, place.line, place.column)?.();
}

// --- files ----------------------------------------------------------------------------------------------------------

const fileTabs = tabs(byId('files'), (tab) => {
  const file = project.get(tab.dataset.path);
  const before = project.entry;
  project.show(file);
  if (project.entry !== before) schedule();
});
const open = (file) => fileTabs.select(file.tab);

async function save(file = project.shown) {
  try {
    const isNew = file.base === undefined;
    await project.save(file);
    say(`${file.path} is saved.`);
    if (isNew) await meet(file);
    return true;
  } catch (error) {
    sayError(error);
    return false;
  }
}

/** What a file that was just written is to the project. */
async function meet(file) {
  const { files } = await api.project();
  const found = files.find(({ path }) => path === file.path);
  if (found === undefined) return;
  project.know(file, found);
  const folder = file.path.slice(0, file.path.lastIndexOf('/'));
  if (found.role === 'library') say(`${file.path} is saved: import { … } from '${found.handle}';`);
  else if (found.role === 'module' && folder !== '') {
    say(`${file.path} is saved. To import it, make ${folder} a folder of libraries, in sluicegate.toml: [libraries] dirs = ["${folder}"]`);
  }
  schedule();
}

async function newFile() {
  const path = await ask({
    title: 'New file', label: 'Path in the project', value: project.get('lib/text.js') ? 'other.js' : 'lib/text.js', ok: 'Create',
    note: 'A library lies in a folder of libraries, such as lib, and is imported by the camelCase of its name. '
      + 'It is written when you save it.',
  });
  if (!path) return;
  if (project.get(path)) return open(project.get(path));
  if (!/\.m?[jt]s$/.test(path)) return say(`${path} is not code: end it with .js, .mjs, .ts or .mts.`, 'bad');
  const library = path.includes('/');
  const typed = /\.m?ts$/.test(path);
  const file = project.add({ path, role: library ? 'module' : 'transformation' }, library ? FIRST_LIBRARY : typed ? FIRST_TYPED : FIRST_CODE);
  open(file);
  file.editor.focus();
  say(`${path} is new; save it to write it.`);
}

async function addCase() {
  if (project.entry === undefined) return;
  let suggested = '';
  try {
    const [first] = seen.events.map(json.plain);
    suggested = [first.type, first.event ?? first.name].filter((word) => typeof word === 'string').join(' ');
  } catch {
    // There is no event; the answer will say so.
  }
  const name = await ask({
    title: 'Add as test case', label: 'Name', value: suggested, ok: 'Add',
    note: `Writes the event and what comes of it now beside ${project.entry.path}, for \`sluicegate test\`. Unsaved code is saved first.`,
  });
  if (name === undefined) return;
  for (const file of project.all) {
    if ((file === project.entry || file.role !== 'test') && project.isDirty(file) && !(await save(file))) return;
  }
  try {
    const { path } = await api.addCase(trial(), name);
    say(`${path} is written. Run it: sluicegate test ${path}`);
  } catch (error) {
    sayError(error);
  }
}

// --- events ---------------------------------------------------------------------------------------------------------

const inputs = tabs(byId('inputs'), (tab) => {
  for (const name of ['event', 'metadata']) byId(name).hidden = tab.id !== `tab-${name}`;
});
/** The events of the file that was chosen, and which of them is shown. */
let taken = { events: [], at: 0 };

const takeEvent = (text) => {
  inputs.select(byId('tab-event'));
  event.value = text;
  schedule();
};

function step(by) {
  const { events } = taken;
  taken.at = Math.min(Math.max(taken.at + by, 0), events.length - 1);
  byId('step').textContent = `${taken.at + 1} of ${events.length}`;
  byId('step-back').disabled = taken.at === 0;
  byId('step-on').disabled = taken.at === events.length - 1;
  takeEvent(events[taken.at]);
}

/** Takes a file: one event, an array, or one on each line. */
function takeFile(text) {
  const pretty = (part) => {
    try {
      return json.pretty(json.parse(part));
    } catch {
      // Shown as it is; the engine says what is wrong with it.
      return part;
    }
  };
  let events;
  try {
    const tree = json.parse(text);
    events = tree.kind === 'array' ? tree.items.map(json.pretty) : [json.pretty(tree)];
  } catch {
    events = text.split('\n').filter((line) => line.trim() !== '').map((line) => line);
  }
  const lazy = new Proxy(events, { get: (all, key) => (typeof key === 'string' && /^\d+$/.test(key) ? pretty(all[key]) : all[key]) });
  taken = { events: events.length === 0 ? [''] : lazy, at: 0 };
  byId('stepper').hidden = events.length < 2;
  step(0);
}

function fillSamples(files) {
  const select = byId('samples');
  const group = (label, entries) => make('optgroup', { label }, ...entries.map(([value, text]) => make('option', { value }, text)));
  select.append(group('Samples', Object.keys(SAMPLES).map((name) => [`sample:${name}`, name])));
  if (files.length > 0) select.append(group('From the project', files.map((path) => [`file:${path}`, path])));
  select.append(group('From elsewhere', [['other', 'a file…']]));
  select.addEventListener('change', async () => {
    const [kind, name] = [select.value.split(':')[0], select.value.slice(select.value.indexOf(':') + 1)];
    if (kind === 'sample') takeFile(JSON.stringify(SAMPLES[name]));
    else if (kind === 'other') byId('event-file').click();
    else {
      try {
        takeFile((await api.read(name)).text);
      } catch (error) {
        sayError(error);
      }
    }
  });
  byId('event-file').addEventListener('change', async ({ target }) => {
    if (target.files.length > 0) takeFile(await target.files[0].text());
  });
}

// --- the keyboard, and the beginning --------------------------------------------------------------------------------

function nextPane() {
  const panes = [
    [byId('code-pane'), () => project.shown.editor.focus()],
    [byId('event-pane'), () => (byId('event').hidden ? metadata : event).focus()],
    [byId('result-pane'), () => byId('view').focus()],
  ];
  const at = panes.findIndex(([pane]) => pane.contains(document.activeElement));
  panes[(at + 1) % panes.length][1]();
}

document.addEventListener('keydown', (pressed) => {
  if (byId('ask').open) return;
  const mod = pressed.ctrlKey || pressed.metaKey;
  const key = `${mod ? 'mod+' : ''}${pressed.shiftKey ? 'shift+' : ''}${pressed.key.toLowerCase()}`;
  const action = {
    'mod+s': () => save(), 'mod+shift+s': addCase, 'mod+enter': run, 'mod+.': nextPane, f8: goToPlace,
  }[key];
  if (action === undefined || pressed.altKey) return;
  pressed.preventDefault();
  action();
});

byId('save').addEventListener('click', () => save());
byId('add-case').addEventListener('click', addCase);
byId('new-file').addEventListener('click', newFile);
byId('step-back').addEventListener('click', () => step(-1));
byId('step-on').addEventListener('click', () => step(1));
tabs(byId('views'), (tab) => {
  view = tab.id.slice('tab-'.length);
  byId('view').setAttribute('aria-labelledby', tab.id);
  if (seen.verdicts.length > 0) showView(view, seen);
});
window.addEventListener('beforeunload', (leaving) => {
  if (project.all.some((file) => file.base !== undefined && project.isDirty(file))) leaving.preventDefault();
});
if (/Mac|iPhone|iPad/.test(navigator.platform)) {
  for (const key of document.querySelectorAll('kbd[data-mod]')) key.textContent = '⌘';
}

async function begin() {
  const found = await api.project();
  byId('project').textContent = found.name;
  document.title = `${found.name} · sluicegate play`;
  fillSamples(found.files.filter(({ role }) => role === 'events').map(({ path }) => path));
  const order = ['transformation', 'library', 'module', 'test'];
  const modules = found.files.filter(({ role }) => order.includes(role))
    .sort((a, b) => order.indexOf(a.role) - order.indexOf(b.role));
  const texts = await Promise.all(modules.map(async (file) => {
    try {
      return await api.read(file.path);
    } catch (error) {
      sayError(error);
      return undefined;
    }
  }));
  modules.forEach((file, index) => {
    if (texts[index] !== undefined) project.add(file, texts[index].text, texts[index].version);
  });
  if (!project.all.some(({ role }) => role === 'transformation')) {
    project.add({ path: FIRST_FILE, role: 'transformation' }, FIRST_CODE);
  }
  const first = project.all.find(({ role }) => role === 'transformation');
  open(first);
  first.editor.focus();
  takeFile(JSON.stringify(SAMPLES.identify));
  if (found.problem !== null) say(found.problem.message, 'bad');
}

begin().catch((error) => {
  showVerdict('failed', 'not started');
  sayError(error);
});
