// Opens the playground in Chromium as a user would: types, looks, saves, adds a test case and runs it. Each part has
// its own folder, playground and browser profile. Parts wait for conditions, never for a fixed time.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const axe = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const binary = path.resolve(process.argv[2]);
const only = process.argv[3];
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
/** The time in which a condition must become true, in milliseconds. Long enough for a busy machine. */
const PATIENCE = 30_000;

const ORDERS = `export function transformEvent(event) {
  if (event.type === 'page') return null;
  event.seen = true;
  return event;
}
`;

/** The text of an editor. The page has elements only for the lines in view. */
const textOf = (editor) => editor.evaluate((content) => content.getRootNode().host.value);
const TESTS = `test('is seen', () => {
  expect(transform({ type: 'a' })).toEmit({ type: 'a', seen: true });
});
test('unseen', () => {
  expect(transform({ type: 'a' })).toEmit({ type: 'a', seen: false });
});
`;
const LOOP = `export function transformEvent(event) {
  const count = () => {
    while (event) event.n += 1;
  };
  count();
}
`;
/** Marked lines of the shown file, and their line numbers. */
const BAD = '#code .editor:not([hidden]) .cm-line.bad';
const BAD_NUMBER = '#code .editor:not([hidden]) .cm-gutterElement.bad';
const WIDTHS = [390, 768, 1024, 1280, 1366, 1440];

/** Controls that are not fully visible: clipped by an edge of the window, or of a box that hides its overflow. */
const clipped = (page) => page.evaluate(() => {
  const found = [];
  for (const control of document.querySelectorAll('button, select, [role=tab], kbd, dt, dd, #verdict, #status, #network, h1')) {
    const box = control.getBoundingClientRect();
    if (box.width === 0 || !control.checkVisibility() || (control.textContent === '' && control.localName !== 'select')) continue;
    const name = control.id || control.textContent;
    if (control.scrollWidth > control.clientWidth + 1 && control.clientWidth > 0 && control.localName !== 'select') found.push(`${name} is cut`);
    let edges = { left: 0, top: 0, right: innerWidth, bottom: innerHeight };
    for (let around = control.parentElement; around !== null; around = around.parentElement) {
      // These boxes scroll vertically, so their top and bottom edges don't count.
      if (around.id === 'view' || around.id === 'files') edges = { ...edges, top: -Infinity, bottom: Infinity };
      if (getComputedStyle(around).overflowX === 'visible') continue;
      const outer = around.getBoundingClientRect();
      if (box.left < outer.left - 1 || box.right > outer.right + 1) found.push(`${name} sticks out of ${around.id || around.localName}`);
    }
    if (box.left < -1 || box.right > edges.right + 1 || box.top < edges.top - 1 || box.bottom > edges.bottom + 1) found.push(`${name} is outside of the window`);
  }
  if (document.documentElement.scrollWidth > innerWidth) found.push('the page is wider than the window');
  return found;
});

const parts = {
  'an edit shows its output, an error marks its line, a save is on disk, a case holds in `test`': async ({ page, dir, code, verdict }) => {
    await verdict('ok');
    await page.getByText('"seen": true').waitFor();
    await code.fill(ORDERS.replace('seen = true', 'colour = "green"'));
    await page.locator('.added', { hasText: '"colour": "green"' }).waitFor();
    assert.equal(await page.locator('#cost [data-cost=CPU]').innerText().then((text) => /^[\d.]+ (µs|ms|s)$/.test(text)), true);
    assert.match(await page.locator('#cost [data-cost=heap]').innerText(), /^[\d.]+ (KiB|MiB)$/);

    // A line that throws is marked at the place, with the message.
    await code.fill(ORDERS.replace('event.seen', 'evnt.seen'));
    await verdict('failed: exception');
    const bad = page.locator(BAD);
    assert.match(await bad.innerText(), /evnt\.seen = true;.*ReferenceError: evnt is not defined/);
    assert.equal(await page.locator(BAD_NUMBER).innerText(), '3');
    assert.equal(await page.locator('#code .squiggle').innerText(), 'evnt');
    assert.equal(await code.getAttribute('aria-invalid'), 'true');

    // So is a line that prevents loading.
    await code.fill(ORDERS.replace('return event;', 'return event);'));
    await verdict('does not load');
    assert.match(await bad.innerText(), /return event\);.*SyntaxError/);
    assert.equal(await page.locator(BAD_NUMBER).innerText(), '4');

    await code.fill(ORDERS.replace('seen = true', 'colour = "green"; log("painted", event.type)'));
    await verdict('ok');
    assert.equal(await page.locator('.cm-line.bad').count(), 0);
    await page.getByRole('tab', { name: /Logs/ }).click();
    await page.locator('.logs', { hasText: 'painted track' }).waitFor();

    assert.equal(fs.readFileSync(path.join(dir, 'orders.js'), 'utf8'), ORDERS, 'nothing is written before it is saved');
    assert.equal(await page.locator('[data-path="orders.js"][data-dirty]').count(), 1);
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('orders.js is saved.').waitFor();
    assert.match(fs.readFileSync(path.join(dir, 'orders.js'), 'utf8'), /green/);
    assert.equal(await page.locator('[data-dirty]').count(), 0);

    await page.getByRole('button', { name: 'Add as test case' }).click();
    await page.getByLabel('Name').fill('Identify is green');
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    await page.getByText('orders.identify-is-green.case.json is written.').waitFor();
    assert.match(test(dir), /1 passed/);
    // The case tests this code, and fails when the code changes.
    fs.writeFileSync(path.join(dir, 'orders.js'), ORDERS);
    assert.throws(() => test(dir));
  },

  'a drop, many outputs, an endless loop and a heap without end have their verdicts, and the page goes on': async ({ page, code, verdict }) => {
    await verdict('ok');
    await page.getByLabel('Take an event from').selectOption('identify');
    await code.fill('export function transformEvent() { return null; }');
    await verdict('dropped');
    await code.fill('export function transformEvent(event) { return [event, { ...event, copy: 1 }]; }');
    await verdict('ok: 2 events');
    await code.fill('export function transformEvent() { for (;;); }');
    // While a run is under way, the next keystroke cancels it.
    await code.fill('export function transformEvent(event) { return { id: 9007199254740993n, type: event.type }; }');
    await page.locator('.added', { hasText: '9007199254740993' }).waitFor();
    await code.fill('export function transformEvent() { for (;;); }');
    await verdict('failed: timeout');
    await code.fill('export function transformEvent() { const a = []; for (;;) a.push(new Array(1000).fill(1)); }');
    await verdict('failed: memory');
    await code.fill(ORDERS);
    await verdict('ok');
  },

  'events: samples, files, lines, mistakes, metadata, numbers that JavaScript cannot hold': async ({ page, event, code, verdict }) => {
    await verdict('ok');
    const samples = page.getByLabel('Take an event from');
    for (const name of ['track', 'page', 'screen', 'group', 'alias', 'record']) {
      await samples.selectOption(name);
      await verdict(name === 'page' ? 'dropped' : 'ok');
      assert.match(await textOf(event), new RegExp(`"type": "${name}"`));
    }
    await samples.selectOption('events.jsonl');
    await page.getByText('1 of 2').waitFor();
    assert.match(await textOf(event), /9007199254740993/);
    await page.locator('#view', { hasText: '"id": 9007199254740993,' }).waitFor();
    await page.getByRole('button', { name: 'Next event' }).click();
    await verdict('dropped');
    await event.fill('{\n  "type": oops\n}');
    await verdict('no event');
    assert.match(await page.locator('#event .cm-line.bad').innerText(), /oops.*not JSON/);
    await event.fill('{"type":"a"}\n{"type":"page"}');
    await verdict('1 ok, 1 dropped');
    await event.fill('{"type":"a"}');
    await code.fill('export function transformEvent(event, metadata) { return { source: metadata(event).sourceId }; }');
    await page.getByRole('tab', { name: 'Metadata' }).click();
    await page.getByLabel('Metadata, JSON').fill('{"sourceId":"web"}');
    await page.locator('.added', { hasText: '"source": "web"' }).waitFor();
  },

  'libraries are beside it, edited unsaved, in TypeScript too': async ({ page, verdict }) => {
    await verdict('ok');
    await page.getByLabel('Take an event from').selectOption('identify');
    await page.locator('[data-path="shout.ts"]').click();
    await page.locator('.added', { hasText: '"name": "ADA!"' }).waitFor();
    await page.locator('[data-path="lib/loud.js"]').click();
    const library = page.getByLabel('Code of lib/loud.js');
    await library.fill("export const loud = (text) => `${text.toUpperCase()}?`;");
    await page.locator('.added', { hasText: '"name": "ADA?"' }).waitFor();
    await library.fill("export const loud = (text) => text.shout();");
    await verdict('failed: exception');
    assert.match(await page.locator(BAD).innerText(), /text\.shout\(\);.*TypeError/);
    // A new library can be imported as soon as it is saved.
    await page.getByRole('button', { name: '+ New' }).click();
    await page.getByLabel('Path in the project').fill('lib/new words.js');
    await page.getByRole('button', { name: 'Create' }).click();
    // Before its editor is shown, the key would save another file.
    await page.getByLabel('Code of lib/new words.js').waitFor();
    await page.keyboard.press('Control+s');
    await page.getByText("import { … } from 'newWords';").waitFor();
    await page.locator('[data-path="shout.ts"]').click();
    await page.getByLabel('Code of shout.ts').fill(
      "import { slug } from 'newWords';\nexport const transformEvent = (event: object) => ({ slug: slug(' A b ') });");
    await page.locator('.added', { hasText: '"slug": "a-b"' }).waitFor();
    await page.getByLabel('Code of shout.ts').fill('export enum No { A }\nexport const transformEvent = (e: object) => e;');
    await verdict('does not load');
    assert.match(await page.locator(BAD).innerText(), /enum/);
  },

  'by keyboard alone: edit, error, save, test case, panes, out of the editor, undo': async ({ page, dir, code, verdict }) => {
    const press = (keys) => page.keyboard.press(keys);
    const focused = () => page.evaluate(() => {
      const element = document.activeElement.shadowRoot?.activeElement ?? document.activeElement;
      return element.id || element.getAttribute('aria-label');
    });
    await verdict('ok');
    assert.equal(await focused(), 'Code of orders.js', 'one can type at once');
    await press('Control+a');
    // Brackets are closed automatically; typing a closing bracket moves over it.
    await page.keyboard.type('export function transformEvent(event) {\nevent.typed = 1;\nreturn event;');
    const typed = 'export function transformEvent(event) {\n  event.typed = 1;\n  return event;\n}';
    assert.equal(await textOf(code), typed, 'lines are indented');
    await page.locator('.added', { hasText: '"typed": 1' }).waitFor();
    await press('Control+a');
    await press('Tab');
    assert.equal(await textOf(code), typed.replaceAll(/^/gm, '  '));
    await press('Control+z');
    assert.equal(await textOf(code), typed, 'undo');
    await press('Control+Home');
    await press('Enter');
    await page.keyboard.type('oops(;');
    await verdict('does not load');
    await press('Control+Home');
    await press('F8');
    await page.keyboard.type('HERE');
    assert.match((await textOf(code)).split('\n')[1], /HERE/, 'F8 goes to the error');
    for (let i = 0; i < 40 && (await textOf(code)) !== typed; i++) await press('Control+z');
    assert.equal(await textOf(code), typed, 'undo goes all the way back');
    await verdict('ok');
    await press('Control+s');
    await page.getByText('orders.js is saved.').waitFor();
    assert.equal(fs.readFileSync(path.join(dir, 'orders.js'), 'utf8'), typed);
    await press('Control+.');
    assert.equal(await focused(), 'Event, JSON');
    await press('Control+.');
    assert.equal(await focused(), 'view');
    await press('Control+.');
    await press('Control+Shift+s');
    await page.keyboard.type('typed');
    await press('Enter');
    await page.getByText('orders.typed.case.json is written.').waitFor();
    assert.equal(await focused(), 'Code of orders.js', 'the focus is back');
    assert.match(test(dir), /1 passed/);
    // Tab indents; after Escape it leaves the editor.
    await press('Tab');
    assert.equal(await focused(), 'Code of orders.js');
    await press('Escape');
    await press('Tab');
    assert.equal(await focused(), 'tab-event');
    await press('ArrowRight');
    assert.equal(await focused(), 'tab-metadata');
    for (const wanted of ['step-on', 'samples', 'Metadata, JSON']) {
      await press('Tab');
      assert.equal(await focused(), wanted);
    }
    await press('Escape');
    await press('Tab');
    await press('ArrowRight');
    assert.equal(await focused(), 'tab-output');
    // The focused element is visibly marked.
    assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), 'none');
  },

  'an empty folder starts with a sample, which is written when it is saved': async ({ page, dir, url, verdict }) => {
    // The open page would request files that no longer exist.
    await page.goto('about:blank');
    for (const name of fs.readdirSync(dir)) fs.rmSync(path.join(dir, name), { recursive: true });
    await page.goto(url);
    await verdict('ok');
    await page.locator('.added', { hasText: '"name": "Ada Lovelace"' }).waitFor();
    assert.deepEqual(fs.readdirSync(dir), []);
    await page.keyboard.press('Control+s');
    await page.getByText('transform.js is saved.').waitFor();
    assert.deepEqual(fs.readdirSync(dir), ['transform.js']);
  },

  'beside a server, below a path: what is saved is what its next request runs': async ({ page, url, code, verdict }) => {
    await verdict('ok');
    const { origin, pathname, hash } = new URL(url);
    assert.equal(pathname, '/play/');
    await code.fill(ORDERS.replace('event.seen', 'evnt.seen'));
    await verdict('failed: exception');
    assert.equal(await page.locator(BAD_NUMBER).innerText(), '3');
    await code.fill(ORDERS.replace('seen = true', 'colour = "green"'));
    await page.locator('.added', { hasText: '"colour": "green"' }).waitFor();
    const send = async () => {
      const body = JSON.stringify([{
        message: { type: 'track' }, metadata: { messageId: 'm' }, destination: { Transformations: [{ VersionID: 'orders' }] },
      }]);
      const answer = await fetch(`${origin}/customTransform`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
      const [{ output }] = await answer.json();
      return output;
    };
    assert.deepEqual(await send(), { type: 'track', seen: true }, 'the server runs what is on disk');
    await page.keyboard.press('Control+s');
    await page.getByText('orders.js is saved.').waitFor();
    // The server notices changes in its folder with a delay.
    while ((await send()).colour !== 'green');
    // An address without the final slash works too, and keeps the token.
    await page.goto('about:blank');
    await page.goto(`${origin}/play${hash}`);
    await page.locator('.added', { hasText: '"colour": "green"' }).waitFor();
    assert.equal(new URL(page.url()).pathname, '/play/');
  },

  'code may ask the hosts that are allowed, and the page says whom': async ({ page, code, verdict }) => {
    await verdict('ok');
    await page.getByText(`network: ${UPSTREAM}`).waitFor();
    await code.fill(`export async function transformEvent(event) {
  const { body } = await fetchV2('http://${UPSTREAM}/users/' + event.userId);
  if (event.oops) throw new Error(body.asked);
  return { ...event, ...body };
}
`);
    await page.locator('.added', { hasText: '"asked": "/users/' }).waitFor();
    await page.getByLabel('Event, JSON').fill('{"userId":"u7","oops":true}');
    await verdict('failed: exception');
    assert.match(await page.locator(BAD).innerText(), /throw new Error.*Error: \/users\/u7/);
    assert.equal(await page.locator(BAD_NUMBER).innerText(), '3');
    await code.fill("export async function transformEvent() { return (await fetchV2('http://elsewhere.example/')).body; }");
    await verdict('failed: exception');
    assert.match(await page.locator(BAD).innerText(), /not among the hosts that --allow-net allows/);
  },

  'nothing is cut off at any width, in light and dark, and axe finds nothing': async ({ page, dir, url, verdict }) => {
    fs.writeFileSync(path.join(dir, 'orders.test.js'), TESTS);
    fs.writeFileSync(path.join(dir, 'a transformation with a rather long name.js'), ORDERS);
    await page.goto('about:blank');
    await page.goto(url);
    await page.locator('[data-path="orders.js"]').click();
    await verdict('ok');
    for (const colorScheme of ['light', 'dark']) {
      // Without motion: axe would measure the contrast of a colour that is still changing.
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      for (const width of WIDTHS) {
        await page.setViewportSize({ width, height: width < 500 ? 844 : 768 });
        for (const view of ['changes', 'tests', 'lineage']) {
          await page.locator(`#tab-${view}`).click();
          if (view === 'tests') await page.getByText('1 passed, 1 failed').first().waitFor();
          if (view === 'lineage') await page.getByText('Point at a field.').waitFor();
          const where = `${width} px, ${colorScheme}, ${view}`;
          assert.deepEqual(await clipped(page), [], where);
          assert.deepEqual(await page.evaluate(() => [scrollX, scrollY]), [0, 0], where);
          // All panes are in view at once: on a phone, too, the result is visible while the user types.
          assert.ok(await page.locator('#result-pane').evaluate((pane) => pane.getBoundingClientRect().bottom <= innerHeight), where);
          if (process.env.SCREENSHOTS) await page.screenshot({ path: path.join(process.env.SCREENSHOTS, `${width}-${colorScheme}-${view}.png`) });
          await page.evaluate(axe);
          const { violations } = await page.evaluate(() => globalThis.axe.run());
          assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join('\n')}`), [], where);
        }
      }
    }
  },

  'it opens at the top, with the events of the folder; a result is in view on a phone': async ({ page, event, verdict }) => {
    await verdict('ok');
    assert.match(await textOf(event), /9007199254740993/);
    assert.equal(await page.getByLabel('Take an event from').inputValue(), 'file:events.jsonl');
    await page.setViewportSize({ width: 390, height: 844 });
    await page.reload();
    await verdict('ok');
    assert.equal(await page.evaluate(() => scrollY), 0);
    assert.ok(await page.getByText('"seen": true').evaluate((row) => row.getBoundingClientRect().bottom < innerHeight));
    assert.equal(await event.isVisible(), false);
    await page.getByRole('tab', { name: 'Event' }).first().click();
    await event.waitFor();
    await event.fill(`{"type":"track","long":"${'word '.repeat(60)}","longer":"${'x'.repeat(400)}"}`);
    await page.getByText('"longer":').first().waitFor();
    // Long lines wrap in the editor and in the result.
    assert.ok(await page.locator('#view').evaluate((view) => view.scrollWidth <= view.clientWidth));
    assert.ok(await page.locator('#event .cm-scroller').evaluate((view) => view.scrollWidth <= view.clientWidth));
  },

  'while it runs no old error stands there, and a timeout shows where the code was': async ({ page, code, verdict }) => {
    await verdict('ok');
    await code.fill(ORDERS.replace('event.seen', 'evnt.seen'));
    await verdict('failed: exception');
    await page.locator(BAD).waitFor();
    await code.fill(LOOP);
    await page.waitForFunction(() => document.querySelector('#verdict').textContent !== 'failed: exception');
    assert.equal(await page.getByText('evnt is not defined').count(), 0);
    await verdict('failed: timeout');
    // The stack is taken shortly before the limit. On a busy machine that may be too late, so this is tried again.
    for (let tries = 0; (await page.locator(BAD).count()) === 0 && tries < 20; tries++) {
      await code.fill(`${LOOP}// ${tries}`);
      await page.waitForResponse(/api.try/);
      await verdict('failed: timeout');
    }
    assert.match(await page.locator(BAD).innerText(), /event\.n \+= 1;.*CPU time/);
    assert.equal(await page.locator(BAD_NUMBER).innerText(), '3');
    await page.locator('.stack', { hasText: 'at count (orders.js:3' }).waitFor();
  },

  'completion knows globals, fields of the event and exports of libraries; find, comments and undo are as everywhere': async ({ page, code, verdict }) => {
    await verdict('ok');
    const offered = page.locator('#code .editor:not([hidden]) .cm-tooltip-autocomplete li');
    /** Types into an empty function, accepts the first completion with a name, and returns the line. */
    const complete = async (text, pick) => {
      await code.fill('export function transformEvent(event) {\n  \n  return event;\n}\n');
      await code.press('Control+Home');
      await code.press('ArrowDown');
      await code.press('End');
      await page.keyboard.type(text);
      const row = offered.filter({ hasText: pick }).first();
      await row.waitFor();
      await row.click();
      return textOf(code);
    };
    await page.getByLabel('Take an event from').selectOption('identify');
    assert.match(await complete('getC', 'getCredential'), /^ {2}getCredential$/m);
    assert.match(await complete('event.tr', 'traits'), /^ {2}event\.traits$/m);
    assert.match(await complete('event.traits.em', 'email'), /^ {2}event\.traits\.email$/m);
    assert.match(await complete('event?.context?.ip.tr', 'trim'), /^ {2}event\?\.context\?\.ip\.trim$/m);
    assert.match(await complete('const { traits } = event; traits.fi', 'first'), /traits\.first/);
    assert.match(await complete('metadata(event).sou', 'sourceId'), /metadata\(event\)\.sourceId/);
    assert.match(await complete('Object.fromE', 'fromEntries'), /Object\.fromEntries/);
    assert.match(await complete('const x = lou', 'loud'), /^import \{ loud \} from 'loud';\n[^]*const x = loud$/m);
    await page.getByLabel('Take an event from').selectOption('track');
    assert.match(await complete('event.properties.products.map((p) => p.sk', 'sku'), /p\.sku/);
    await code.fill('import {  } from \'uuid\';\n');
    await code.press('Control+Home');
    for (let i = 0; i < 9; i++) await code.press('ArrowRight');
    await page.keyboard.type('v');
    await offered.filter({ hasText: 'uuid' }).first().waitFor();
    await code.press('Escape');

    await code.fill(ORDERS);
    await verdict('ok');
    await code.press('Control+Home');
    await code.press('Control+/');
    assert.match(await textOf(code), /^\/\/ export function/);
    await code.press('Control+/');
    assert.equal(await textOf(code), ORDERS);
    await code.press('Control+f');
    await page.keyboard.type('seen');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Escape');
    await page.keyboard.type('found');
    assert.equal(await textOf(code), ORDERS.replace('seen', 'found'));
    await page.keyboard.press('Control+z');
    assert.equal(await textOf(code), ORDERS);
    await page.keyboard.press('Control+Shift+Z');
    assert.equal(await textOf(code), ORDERS.replace('seen', 'found'));
  },

  'the tests of the folder run, and are shown at their lines': async ({ page, dir, url, code }) => {
    fs.writeFileSync(path.join(dir, 'orders.test.js'), TESTS);
    fs.writeFileSync(path.join(dir, 'orders.pages.case.json'), '{"event":{"type":"page"},"expect":"drop"}');
    await page.goto('about:blank');
    await page.goto(url);
    await page.getByRole('tab', { name: /^Tests/ }).click();
    await page.getByText('2 passed, 1 failed').waitFor();
    await page.locator('.tests .failed', { hasText: 'unseen' }).locator('.difference', { hasText: '− false' }).waitFor();
    await page.locator('.tests .failed').getByRole('button', { name: 'orders.test.js:5' }).click();
    assert.match(await page.locator(BAD).innerText(), /seen: false.*unseen/);
    assert.equal(await page.locator('#code .editor:not([hidden]) .cm-gutterElement.passed').first().innerText(), '1');
    // The tests run again when a file is saved, and the page names unsaved files.
    await page.locator('[data-path="orders.js"]').click();
    await code.fill(ORDERS.replace('seen = true', 'seen = false'));
    await page.getByRole('tab', { name: /^Changes/ }).click();
    await page.getByRole('tab', { name: /^Tests/ }).click();
    await page.getByText('not saved: orders.js').waitFor();
    await page.keyboard.press('Control+s');
    await page.locator('.tests .failed', { hasText: 'is seen' }).waitFor();
    await page.locator('.tests .passed', { hasText: 'unseen' }).waitFor();
    assert.deepEqual(fs.readdirSync(dir).filter((name) => name.includes('snap')), [], 'nothing is written');
  },

  'lineage: who points at a field sees where it goes, or comes from': async ({ page, code, event, verdict }) => {
    await verdict('ok');
    await event.fill(JSON.stringify({ type: 'identify', traits: { first: 'Ada', last: 'Lovelace', email: 'ada@example.com' } }, null, 2));
    await code.fill("export function transformEvent({ type, traits }) {\n  if (type === 'page') return null;\n"
      + "  return { kind: 'person', name: `${traits.first} ${traits.last}`, mail: traits.email };\n}\n");
    await verdict('ok');
    await page.getByRole('tab', { name: 'Lineage' }).click();
    const field = (side, name) => page.locator(`.column.${side} [data-field="${name}"]`);
    await field('in', 'traits.first').hover();
    await page.locator('.column.out .lit', { hasText: 'name' }).waitFor();
    assert.equal(await page.locator('.column.out .lit').count(), 1);
    await field('out', 'name').hover();
    await page.locator('.column.in .lit', { hasText: 'traits.last' }).waitFor();
    assert.deepEqual(await page.locator('.column.in .lit').allInnerTexts(), ['traits.first', 'traits.last']);
    await page.locator('#edges', { hasText: 'made of it' }).waitFor();
    await field('out', '(verdict)').focus();
    await page.locator('#edges', { hasText: 'decides whether the event is dropped' }).waitFor();
    await field('out', 'kind').focus();
    await page.locator('#edges', { hasText: 'is always "person"' }).waitFor();
    // From the field to its place in the event's text, and back.
    await field('in', 'traits.email').click();
    await event.focus();
    assert.equal(await event.evaluate((content) => content.getRootNode().getSelection().toString()), '"email": "ada@example.com"');
    await page.mouse.move(0, 0);
    await event.getByText('"last"').click();
    await page.locator('.column.in [data-field="traits.last"][aria-pressed=true]').waitFor();
    // Edited code is measured again.
    await code.fill("export function transformEvent({ traits }) {\n  return { mail: traits.email.toLowerCase() };\n}\n");
    await page.waitForFunction(() => document.querySelector('.column.out [data-field="name"]') === null);
    await field('in', 'traits.first').hover();
    await page.locator('#edges', { hasText: 'goes nowhere' }).waitFor();
  },

  'a link holds code and event, not the token, and runs when its reader says so': async ({ page, url, code, event, verdict }) => {
    await verdict('ok');
    await code.fill(ORDERS.replace('seen = true', 'linked = "ü"'));
    await event.fill('{"type":"linked"}');
    await page.locator('.added', { hasText: 'linked' }).waitFor();
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write'], { origin: new URL(url).origin });
    await page.getByRole('button', { name: 'Copy link' }).click();
    await page.getByText('The link is copied.').waitFor();
    const link = await page.evaluate(() => navigator.clipboard.readText());
    const { origin, hash } = new URL(url);
    assert.ok(link.startsWith(`${origin}/#try=`) && !link.includes(hash.slice(1)), link);
    // A tab without a token asks for the printed address.
    const other = await page.context().newPage();
    await other.goto(link);
    await other.getByLabel('The address that').fill(url);
    await other.getByRole('button', { name: 'Open', exact: true }).click();
    await other.getByText('This code came with a link.').waitFor();
    assert.match(await textOf(other.getByLabel('Code of orders.js')), /linked = "ü"/);
    assert.equal(await textOf(other.getByLabel('Event, JSON')), '{\n  "type": "linked"\n}');
    assert.equal(await other.locator('#verdict').innerText(), 'not run yet');
    assert.equal(await other.locator('[data-dirty]').count(), 1, 'nothing is saved');
    await other.getByRole('button', { name: 'Run it' }).click();
    await other.locator('.added', { hasText: 'linked' }).waitFor();
    await other.getByLabel('Code of orders.js').press('Control+z');
    assert.equal(await textOf(other.getByLabel('Code of orders.js')), ORDERS, 'undo brings back what was there');
    await other.close({ runBeforeUnload: false });
    // The same in a page that is open already.
    await page.goto(`${link.slice(0, -4)}`);
    await page.getByText('The link is broken').waitFor();
    await page.goto(link);
    await page.getByText('This code came with a link.').waitFor();
  },

  'a file that changed on disk is not written over': async ({ page, dir, code, verdict }) => {
    await verdict('ok');
    fs.writeFileSync(path.join(dir, 'orders.js'), '// from elsewhere\n');
    await code.fill(`${ORDERS}// mine`);
    await page.expectErrors(async () => {
      await page.keyboard.press('Control+s');
      await page.getByText('orders.js has been changed or removed by another program').waitFor();
    });
    assert.equal(fs.readFileSync(path.join(dir, 'orders.js'), 'utf8'), '// from elsewhere\n');
  },

  'other pages, other names and strangers are refused': async ({ page, url, verdict }) => {
    await verdict('ok');
    const { origin, hash } = new URL(url);
    const token = hash.slice(1);
    const ask = async (headers, body) => {
      const answer = await fetch(`${origin}/api/try`, {
        method: 'POST', headers: { 'content-type': 'application/json', ...headers },
        body: body ?? JSON.stringify({ file: 'orders.js', texts: {}, events: '{}' }),
      });
      return answer.status;
    };
    const known = { 'x-sluicegate-token': token };
    assert.equal(await ask(known), 200);
    assert.equal(await ask({}), 401);
    assert.equal(await ask({ 'x-sluicegate-token': token.replace(/./, 'z') }), 401);
    assert.equal(await ask({ ...known, origin: 'http://evil.example' }), 403);
    assert.equal(await ask({ ...known, 'content-type': 'text/plain' }), 415);
    assert.equal(await ask(known, '{'), 400);
    for (const file of ['../secret.js', '/etc/passwd', 'a/../../b.js']) {
      const answer = await fetch(`${origin}/api/file?path=${encodeURIComponent(file)}`, { headers: known });
      assert.equal(answer.status, 400, file);
    }
    // A host name that was rebound to this machine: the browser accepts it, the playground does not.
    const rebound = await page.context().newPage();
    const status = (await rebound.goto(origin.replace('127.0.0.1', 'rebound.example')))?.status();
    assert.equal(status, 403);
    // A tab that was not opened with the printed address gets the page, but no data of the project.
    const stranger = await page.context().newPage();
    await stranger.goto(origin);
    await stranger.getByText('does not know the playground').waitFor();
    assert.equal(await stranger.locator('#files [role=tab]').count(), 0);
  },
};

// The arguments of parts that need more than `play` with a closed network.
parts['beside a server, below a path: what is saved is what its next request runs'].args =
  (dir) => ['serve', '--dir', dir, '--listen', '127.0.0.1:0', '--play'];
const upstream = http.createServer((request, answer) => {
  answer.setHeader('content-type', 'application/json');
  answer.end(JSON.stringify({ asked: request.url }));
}).listen(0, '127.0.0.1');
await new Promise((ready) => upstream.once('listening', ready));
const UPSTREAM = `127.0.0.1:${upstream.address().port}`;
parts['code may ask the hosts that are allowed, and the page says whom'].args = (dir) => ['play', dir, '--allow-net', UPSTREAM];

/** `sluicegate test` in a folder; throws if a test fails. */
const test = (dir) => execFileSync(binary, ['test'], { cwd: dir, encoding: 'utf8', env: { ...process.env, CI: '1', NO_COLOR: '1' } });

const start = async (args) => {
  const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal)));
  let text = '';
  for await (const chunk of child.stdout) {
    text += chunk;
    if (text.includes('\n')) break;
  }
  return { url: text.trim(), end: () => (child.kill('SIGTERM'), ended) };
};

const run = async (name, part) => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'sluicegate-play-'));
  const dir = path.join(root, 'project');
  fs.mkdirSync(path.join(dir, 'lib'), { recursive: true });
  fs.writeFileSync(path.join(dir, 'orders.js'), ORDERS);
  fs.writeFileSync(path.join(dir, 'events.jsonl'), '{"type":"track","id":9007199254740993}\n{"type":"page"}\n');
  fs.writeFileSync(path.join(dir, 'sluicegate.toml'), '[libraries]\ndirs = ["lib"]\n\n[limits]\ncpu = "300ms"\nheap = "32MiB"\n');
  fs.writeFileSync(path.join(dir, 'lib/loud.js'), 'export const loud = (text) => `${text.toUpperCase()}!`;\n');
  fs.writeFileSync(path.join(dir, 'shout.ts'), "import { loud } from 'loud';\n"
    + 'export function transformEvent(event: any): object {\n  return { name: loud(event.traits.first as string) };\n}\n');
  const play = await start(part.args?.(dir) ?? ['play', dir]);
  // The browser has no network: host names are not found, except that `rebound.example` is this machine.
  const rules = '--host-resolver-rules=MAP rebound.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1';
  const browser = await chromium.launchPersistentContext(path.join(root, 'profile'), {
    executablePath: CHROMIUM, headless: true, args: [...FLAGS, rules], timeout: PATIENCE,
  });
  browser.setDefaultTimeout(PATIENCE);
  try {
    const [page] = browser.pages();
    const errors = [];
    // A tab that is left before its icon has loaded requests the icon again, without an origin.
    const ofIcon = (url) => /icon\.svg$/.test(url);
    page.on('console', (message) => {
      const leaves = ofIcon(message.location().url) || /icon\.svg' from origin 'null'/.test(message.text());
      if (message.type() !== 'log' && !leaves) errors.push(`${message.type()}: ${message.text()}`);
    });
    page.on('pageerror', (error) => errors.push(error.stack));
    page.on('requestfailed', (request) => {
      // A request that a newer one has cancelled is not a failure.
      if (request.failure().errorText !== 'net::ERR_ABORTED' && !ofIcon(request.url())) errors.push(`${request.url()}: ${request.failure().errorText}`);
    });
    page.on('request', (request) => request.url().startsWith(new URL(play.url).origin) || errors.push(`asks ${request.url()}`));
    /** Runs an action that makes the server refuse a request, which is an error on the console. */
    page.expectErrors = async (act) => {
      await act();
      errors.splice(0, errors.length, ...errors.filter((error) => !/status of 409/.test(error)));
    };
    await page.goto(play.url);
    const verdict = async (text) => {
      const now = page.locator('#verdict', { hasText: new RegExp(`^${text}$`) });
      try {
        await now.waitFor();
      } catch {
        const [seen, status] = [await page.locator('#verdict').innerText(), await page.locator('#status').innerText()];
        assert.fail(`the verdict is ${JSON.stringify(seen)} (${status}) and not ${JSON.stringify(text)}`);
      }
    };
    const code = page.getByLabel('Code of orders.js');
    const event = page.getByLabel('Event, JSON');
    await part({ page, dir, url: play.url, code, event, verdict });
    assert.deepEqual(errors, [], 'errors on the console');
    assert.equal(await play.end(), 0, 'a signal ends the playground in order');
    console.log(`ok ${name}`);
  } finally {
    await browser.close();
    await play.end();
    fs.rmSync(root, { recursive: true, force: true });
  }
};

let failed = 0;
for (const [name, part] of Object.entries(parts)) {
  if (only !== undefined && !name.includes(only)) continue;
  try {
    await run(name, part);
  } catch (error) {
    failed++;
    console.log(`not ok ${name}\n${error.stack}`);
  }
}
upstream.close();
upstream.closeAllConnections();
process.exitCode = failed === 0 ? 0 : 1;
