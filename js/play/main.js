// The whole page: connects its parts.
import * as api from './api.js';
import { ask, byId, make, tabs } from './dom.js';
import { fieldAt, placeOf } from './editor.js';
import { Events } from './events.js';
import * as json from './json.js';
import { Lineage } from './lineage.js';
import { pack, unpack } from './link.js';
import { Project } from './project.js';
import { inWords, note, showCost, showLogCount, showVerdict, showView, stackOf, verdictsOf } from './result.js';
import { FIRST_CODE, FIRST_FILE, FIRST_LIBRARY, FIRST_TYPED, SAMPLES } from './samples.js';
import { Tests } from './tests.js';

/**
 * The time from the last keystroke to a run, and until a run is shown as under way, in milliseconds. If the code may
 * use the network, half-written requests must not be sent. Lineage takes all processors for a moment.
 */
const PAUSE = 120;
const PAUSE_WITH_NETWORK = 700;
const PAUSE_OF_LINEAGE = 600;
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
let lineageTimer;
let current;
let network = null;
/** The shown result: { events, verdicts, go }. */
let seen = { events: [], verdicts: [] };
let view = 'changes';
/** The target of F8, and the mark: { editor, place }. */
let problemPlace;
let problemMark;
/** Whether the code came with a link. It does not run before the user agrees. */
let held = false;

const schedule = () => {
  clearTimeout(timer);
  lineage.outdate();
  if (held) return;
  timer = setTimeout(run, network === null ? PAUSE : PAUSE_WITH_NETWORK);
};
const measureSoon = () => {
  clearTimeout(lineageTimer);
  if (view === 'lineage' && !held) lineageTimer = setTimeout(() => lineage.measure(), PAUSE_OF_LINEAGE);
};

const project = new Project(() => schedule(), { events: () => events.values, metadata: () => events.metadataValue });
const trial = () => ({
  file: project.entry.path, texts: project.texts(), events: events.event.value, metadata: events.metadata.value,
});
const lineage = new Lineage({
  trial: () => ({ ...trial(), events: events.event.value + events.beside }),
  chosen: (name) => {
    const { state } = events.event;
    const place = placeOf(state, name);
    if (place === undefined) return;
    events.show('event');
    events.event.select(place.from, place.to);
  },
});
const events = new Events({
  changed: () => schedule(),
  failed: sayError,
  moved: (at) => {
    if (view === 'lineage') lineage.point(fieldAt(events.event.state, at));
  },
});

async function run() {
  clearTimeout(timer);
  held = false;
  // The latest run wins: a run under way is cancelled, together with its worker.
  current?.abort();
  const own = new AbortController();
  current = own;
  const slow = setTimeout(() => {
    if (current === own) showBusy();
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

/** The shown result belongs to another text, so it is hidden until there is an answer. */
function showBusy() {
  forget();
  seen = { events: [], verdicts: [] };
  showCost(undefined, 0);
  if (['changes', 'output', 'logs'].includes(view)) byId('view').replaceChildren(note('Running…'));
  showVerdict('busy', 'running…');
}

function forget() {
  problemPlace = undefined;
  problemMark = undefined;
  markAll();
  for (const box of [byId('code-problem'), byId('event-problem')]) {
    box.replaceChildren();
    box.hidden = true;
  }
}

/** Returns a function that goes to a place of a stack, if the place is in the project. */
const goTo = (files) => (name, line, column) => {
  const file = project.get(files[name] ?? name);
  return file && (() => {
    open(file);
    showPane('code');
    file.editor.go(line, column);
  });
};

function show(answer) {
  const problem = json.plain(json.get(answer, 'problem')) ?? undefined;
  const files = json.plain(json.get(answer, 'files')) ?? {};
  const go = goTo(files);
  const allowed = json.plain(json.get(answer, 'network'));
  // An answer without a program says nothing about the network.
  if (problem === undefined || allowed !== null) {
    network = allowed;
    byId('network').textContent = network === null ? '' : `network: ${network}`;
  }
  if (problem !== undefined) {
    showVerdict('failed', editorOf(problem.file, files) === events.event ? 'no event' : 'does not load');
    showCost(undefined, 0);
    seen = { events: [], verdicts: [], problem: { ...problem, go } };
    showLogCount([]);
  } else {
    const tree = json.get(answer, 'answer');
    const verdicts = verdictsOf(tree);
    seen = { events: json.get(answer, 'events').items, verdicts, go };
    showVerdict(...inWords(verdicts));
    showCost(tree, json.plain(json.get(answer, 'load')));
    showLogCount(verdicts);
  }
  showSeen();
  markProblem(problem ?? seen.verdicts.find(({ verdict }) => verdict === 'failed'), files);
  if (problem === undefined) measureSoon();
}

/** Shows the contents of the chosen tab. */
function showSeen() {
  if (view === 'tests') tests.show();
  else if (view === 'lineage') lineage.show();
  else if (seen.problem !== undefined) byId('view').replaceChildren(make('div', { class: 'failure' }, ...explained(seen.problem)));
  else if (seen.verdicts.length > 0) showView(view, seen);
}

const editorOf = (file, files) => ({ event: events.event, metadata: events.metadata })[file] ?? project.get(files[file] ?? file)?.editor;

/** The lines of text that explain a problem. */
const explained = (problem) => [
  make('p', {}, make('strong', {}, problem.message)),
  problem.help ? make('p', { class: 'help' }, `help: ${problem.help}`) : undefined,
  problem.stack ? stackOf(problem.stack, problem.go) : undefined,
];

function markProblem(problem, files) {
  forget();
  if (problem === undefined) return;
  const editor = editorOf(problem.file, files);
  const message = problem.kind && problem.name ? `${problem.name}: ${problem.message}` : problem.message;
  if (editor !== undefined && problem.line !== undefined && problem.line !== null) {
    problemMark = { editor, place: { ...problem, message } };
    problemPlace = { file: files[problem.file] ?? problem.file, line: problem.line, column: problem.column };
    markAll();
  }
  const typed = editor === events.event || editor === events.metadata;
  const file = files[problem.file] ?? problem.file;
  const where = problemPlace && `${typed ? 'line ' : `${file}:`}${problem.line}${typed ? '' : `:${problem.column}`}`;
  const box = byId(typed ? 'event-problem' : 'code-problem');
  box.replaceChildren(...[
    where && make('button', { type: 'button', class: 'link', click: goToPlace }, where),
    where && ' ',
    message,
    problem.help ? make('span', { class: 'help' }, ` help: ${problem.help}`) : undefined,
  ].filter((part) => part !== undefined && part !== ''));
  box.hidden = false;
}

/** Marks the failures of a run and of tests. */
function markAll() {
  const failed = tests.places;
  const marks = (editor, path) => [
    ...(problemMark?.editor === editor ? [problemMark.place] : []),
    ...(failed.get(path) ?? []),
    ...tests.at(path).map(({ line, status }) => ({ line, sign: status })),
  ];
  for (const editor of [events.event, events.metadata]) editor.mark(marks(editor, undefined));
  for (const { path, editor } of project.all) editor.mark(marks(editor, path));
}

function goToPlace() {
  if (problemPlace === undefined) return;
  const { file, line, column } = problemPlace;
  if (file === 'event' || file === 'metadata') {
    events.show(file);
    showPane('event');
    events[file].go(line, column);
  } else goTo({})(file, line, column)?.();
}

// --- files ----------------------------------------------------------------------------------------------------------

const fileTabs = tabs(byId('files'), (tab) => {
  const file = project.get(tab.dataset.path);
  const before = project.entry;
  project.show(file);
  if (project.entry !== before) schedule();
});
const open = (file) => fileTabs.select(file.tab);

const tests = new Tests({
  go: goTo({}),
  unsaved: () => project.unsaved,
  changed: () => {
    tests.showCount();
    markAll();
    if (view === 'tests') tests.show();
  },
});

async function save(file = project.shown) {
  try {
    const isNew = file.base === undefined;
    await project.save(file);
    say(`${file.path} is saved.`);
    if (isNew) await meet(file);
    if (tests.ran) tests.run();
    return true;
  } catch (error) {
    sayError(error);
    return false;
  }
}

/** The role in the project of a file that was just written. */
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
    // There is no event; the server's answer reports that.
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
    if (tests.ran) tests.run();
  } catch (error) {
    sayError(error);
  }
}

// --- links ----------------------------------------------------------------------------------------------------------

async function copyLink() {
  const { path, editor } = project.entry;
  const metadata = events.metadata.value.trim() === '' ? undefined : events.metadata.value;
  const hash = await pack({ file: path, code: editor.value, event: events.event.value, metadata });
  const link = `${location.origin}${location.pathname}#${hash}`;
  try {
    await navigator.clipboard.writeText(link);
    say('The link is copied. It holds this file and the event, and not the token: who opens it needs a playground of his own.');
  } catch {
    await ask({ title: 'Link', label: 'Copy it', value: link, ok: 'Done', note: 'It holds this file and the event. Nothing was sent.' });
  }
}

/** Shows the contents of a link. The code runs when the user agrees. */
function take({ file: path, code, event, metadata }) {
  held = true;
  clearTimeout(timer);
  current?.abort();
  current = undefined;
  const known = project.get(path);
  const file = known ?? project.add({ path, role: 'transformation' }, code);
  if (known !== undefined) known.editor.replace(code);
  open(file);
  if (metadata !== undefined) events.metadata.value = metadata;
  if (event !== undefined) events.take(event);
  seen = { events: [], verdicts: [] };
  forget();
  showVerdict('busy', 'not run yet');
  showCost(undefined, 0);
  byId('view').replaceChildren(make('div', { class: 'line' },
    make('button', { type: 'button', class: 'main', click: run }, 'Run it'),
    make('span', { class: 'muted' }, 'This code came with a link. Read it before you run it. Nothing is saved.')));
}

const tidyAddress = () => {
  const token = api.tokenOf(location.hash);
  history.replaceState(null, '', `${location.pathname}${token === undefined ? '' : `#${token}`}`);
};

async function takeLink(hash) {
  try {
    const draft = await unpack(hash);
    tidyAddress();
    if (draft !== undefined) take(draft);
    return draft !== undefined;
  } catch {
    say('The link is broken: it does not hold code and an event.', 'bad');
    return false;
  }
}

/** Asks for the printed address, which has the token: a link was opened in a tab without one. */
async function askForToken() {
  const rest = location.hash.slice(1);
  const address = await ask({
    title: 'Which playground?', label: 'The address that `sluicegate play` printed', value: '', ok: 'Open',
    note: 'The link holds code and an event, and not the token of your playground. Start `sluicegate play`, and paste its address here.',
  });
  const token = api.tokenOf(new URL(address || location.href, location.href).hash);
  if (token === undefined) return;
  const target = `${new URL(address).origin}${new URL(address).pathname}#${token}&${rest}`;
  if (new URL(target).origin === location.origin) history.replaceState(null, '', target);
  else location.assign(target);
}

// --- the keyboard, and the start ------------------------------------------------------------------------------------

/** A narrow page shows either the code or the event, above the result. */
const panes = tabs(byId('panes'), (tab) => {
  document.body.dataset.pane = tab.id.split('-')[1];
});
const showPane = (name) => panes.select(byId(`tab-${name}-pane`));

function nextPane() {
  const all = [
    [byId('code-pane'), () => (showPane('code'), project.shown.editor.focus())],
    [byId('event-pane'), () => (showPane('event'), (byId('event').hidden ? events.metadata : events.event).focus())],
    [byId('result-pane'), () => byId('view').focus()],
  ];
  const at = all.findIndex(([pane]) => pane.contains(document.activeElement));
  all[(at + 1) % all.length][1]();
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
byId('copy-link').addEventListener('click', copyLink);
byId('new-file').addEventListener('click', newFile);
tabs(byId('views'), (tab) => {
  view = tab.id.slice('tab-'.length);
  byId('view').setAttribute('aria-labelledby', tab.id);
  byId('view').scrollTop = 0;
  showSeen();
  if (view === 'lineage' && !held) lineage.measure();
  if (view === 'tests' && !tests.ran) tests.run();
});
window.addEventListener('hashchange', () => takeLink(location.hash));
window.addEventListener('beforeunload', (leaving) => {
  if (project.unsaved.length > 0) leaving.preventDefault();
});
if (/Mac|iPhone|iPad/.test(navigator.platform)) {
  for (const key of document.querySelectorAll('kbd[data-mod]')) key.textContent = '⌘';
}

/** Sorts files of events: those next to the code before those of other folders, and `events.jsonl` before others. */
const byNearness = (a, b) => {
  const rank = (path) => [path.split('/').length, /(?:^|\/)events\.(?:jsonl|ndjson|json)$/.test(path) ? 0 : 1];
  const [[depthA, nameA], [depthB, nameB]] = [rank(a), rank(b)];
  return depthA - depthB || nameA - nameB || (a < b ? -1 : 1);
};

async function begin() {
  if (location.hash.includes('try=') && !api.hasToken()) await askForToken();
  const found = await api.project();
  byId('project').textContent = found.name;
  document.title = `${found.name} · sluicegate play`;
  project.exports = found.exports;
  const data = found.files.filter(({ role }) => role === 'events').map(({ path }) => path).sort(byNearness);
  events.fill(data);
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
  const link = location.hash;
  if (!project.all.some(({ role }) => role === 'transformation')) {
    project.add({ path: FIRST_FILE, role: 'transformation' }, FIRST_CODE);
  }
  const first = project.all.find(({ role }) => role === 'transformation');
  open(first);
  // On a touch screen the focus would open the keyboard.
  if (matchMedia('(pointer: fine)').matches) first.editor.focus();
  if (found.problem !== null) say(found.problem.message, 'bad');
  if (await takeLink(link)) return;
  if (data.some((path) => !path.includes('/'))) await events.read(data[0]);
  else {
    byId('samples').value = 'sample:identify';
    events.take(JSON.stringify(SAMPLES.identify));
  }
}

begin().catch((error) => {
  showVerdict('failed', 'not started');
  sayError(error);
});
