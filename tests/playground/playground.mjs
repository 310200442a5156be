// Opens the playground in Chromium as a user would: types, looks, saves, adds a test case and runs it. Each part begins
// with a folder, a playground and a browser profile of its own. What a part waits for is a condition, never a time.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';

const binary = path.resolve(process.argv[2]);
const only = process.argv[3];
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
/** How long a condition may take to come true, on a machine that does much else, in milliseconds. */
const PATIENCE = 30_000;

const ORDERS = `export function transformEvent(event) {
  if (event.type === 'page') return null;
  event.seen = true;
  return event;
}
`;

const parts = {
  'an edit shows its output, an error marks its line, a save is on disk, a case holds in `test`': async ({ page, dir, code, verdict }) => {
    await verdict('ok');
    await page.getByText('"seen": true').waitFor();
    await code.fill(ORDERS.replace('seen = true', 'colour = "green"'));
    await page.locator('.added', { hasText: '"colour": "green"' }).waitFor();
    assert.equal(await page.locator('#cost [data-cost=CPU]').innerText().then((text) => /^[\d.]+ (µs|ms|s)$/.test(text)), true);
    assert.match(await page.locator('#cost [data-cost=heap]').innerText(), /^[\d.]+ (KiB|MiB)$/);

    // What throws is marked where it throws, and what it says stands there.
    await code.fill(ORDERS.replace('event.seen', 'evnt.seen'));
    await verdict('failed: exception');
    const bad = page.locator('#code .row.bad');
    assert.match(await bad.innerText(), /evnt\.seen = true;.*ReferenceError: evnt is not defined/);
    assert.equal(await page.locator('#code .gutter .bad').innerText(), '3');
    assert.equal(await page.locator('#code .squiggle').innerText(), 'evnt');
    assert.equal(await code.getAttribute('aria-invalid'), 'true');

    // What does not load, too.
    await code.fill(ORDERS.replace('return event;', 'return event);'));
    await verdict('does not load');
    assert.match(await bad.innerText(), /return event\);.*SyntaxError/);
    assert.equal(await page.locator('#code .gutter .bad').innerText(), '4');

    await code.fill(ORDERS.replace('seen = true', 'colour = "green"; log("painted", event.type)'));
    await verdict('ok');
    assert.equal(await page.locator('.row.bad').count(), 0);
    await page.getByRole('tab', { name: /Logs/ }).click();
    await page.locator('.logs', { hasText: 'painted identify' }).waitFor();

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
    // The case is about this code, and notices when it changes.
    fs.writeFileSync(path.join(dir, 'orders.js'), ORDERS);
    assert.throws(() => test(dir));
  },

  'a drop, many outputs, an endless loop and a heap without end have their verdicts, and the page goes on': async ({ page, code, verdict }) => {
    await verdict('ok');
    await code.fill('export function transformEvent() { return null; }');
    await verdict('dropped');
    await code.fill('export function transformEvent(event) { return [event, { ...event, copy: 1 }]; }');
    await verdict('ok: 2 events');
    await code.fill('export function transformEvent() { for (;;); }');
    // While it is busy, the next keystroke wins.
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
      assert.match(await event.inputValue(), new RegExp(`"type": "${name}"`));
    }
    await samples.selectOption('events.jsonl');
    await page.getByText('1 of 2').waitFor();
    assert.match(await event.inputValue(), /9007199254740993/);
    await page.locator('#view', { hasText: '"id": 9007199254740993,' }).waitFor();
    await page.getByRole('button', { name: 'Next event' }).click();
    await verdict('dropped');
    await event.fill('{\n  "type": oops\n}');
    await verdict('no event');
    assert.match(await page.locator('#event .row.bad').innerText(), /oops.*not JSON/);
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
    await page.locator('[data-path="shout.ts"]').click();
    await page.locator('.added', { hasText: '"name": "ADA!"' }).waitFor();
    await page.locator('[data-path="lib/loud.js"]').click();
    const library = page.getByLabel('Code of lib/loud.js');
    await library.fill("export const loud = (text) => `${text.toUpperCase()}?`;");
    await page.locator('.added', { hasText: '"name": "ADA?"' }).waitFor();
    await library.fill("export const loud = (text) => text.shout();");
    await verdict('failed: exception');
    assert.match(await page.locator('#code .editor:not([hidden]) .row.bad').innerText(), /text\.shout\(\);.*TypeError/);
    // A new one can be imported as soon as it is written.
    await page.getByRole('button', { name: '+ New' }).click();
    await page.getByLabel('Path in the project').fill('lib/new words.js');
    await page.getByRole('button', { name: 'Create' }).click();
    // Until its editor is there, another file's would be saved.
    await page.getByLabel('Code of lib/new words.js').waitFor();
    await page.keyboard.press('Control+s');
    await page.getByText("import { … } from 'newWords';").waitFor();
    await page.locator('[data-path="shout.ts"]').click();
    await page.getByLabel('Code of shout.ts').fill(
      "import { slug } from 'newWords';\nexport const transformEvent = (event: object) => ({ slug: slug(' A b ') });");
    await page.locator('.added', { hasText: '"slug": "a-b"' }).waitFor();
    await page.getByLabel('Code of shout.ts').fill('export enum No { A }\nexport const transformEvent = (e: object) => e;');
    await verdict('does not load');
    assert.match(await page.locator('#code .editor:not([hidden]) .row.bad').innerText(), /enum/);
  },

  'by keyboard alone: edit, error, save, test case, panes, out of the editor, undo': async ({ page, dir, code, verdict }) => {
    const press = (keys) => page.keyboard.press(keys);
    const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.getAttribute('aria-label'));
    await verdict('ok');
    assert.equal(await focused(), 'Code of orders.js', 'one can type at once');
    await press('Control+a');
    await page.keyboard.type('export function transformEvent(event) {\nevent.typed = 1;\nreturn event;\n}');
    const typed = 'export function transformEvent(event) {\n  event.typed = 1;\n  return event;\n}';
    assert.equal(await code.inputValue(), typed, 'lines are indented');
    await page.locator('.added', { hasText: '"typed": 1' }).waitFor();
    await press('Control+a');
    await press('Tab');
    assert.equal(await code.inputValue(), typed.replaceAll(/^/gm, '  '));
    await press('Control+z');
    assert.equal(await code.inputValue(), typed, 'undo');
    await press('Control+Home');
    await press('Enter');
    await page.keyboard.type('oops(;');
    await verdict('does not load');
    await press('Control+Home');
    await press('F8');
    const line = await code.evaluate((area) => area.value.slice(0, area.selectionStart).split('\n').length);
    assert.equal(line, 2, 'F8 goes to the error');
    for (let i = 0; i < 40 && (await code.inputValue()) !== typed; i++) await press('Control+z');
    assert.equal(await code.inputValue(), typed, 'undo goes all the way back');
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
    // Tab indents; after Escape it leaves.
    await press('Tab');
    assert.equal(await focused(), 'Code of orders.js');
    await press('Escape');
    await press('Tab');
    assert.equal(await focused(), 'tab-event');
    await press('ArrowRight');
    assert.equal(await focused(), 'tab-metadata');
    for (const wanted of ['Take an event from', 'Metadata, JSON']) {
      await press('Tab');
      assert.ok([wanted, 'samples'].includes(await focused()), `${await focused()} instead of ${wanted}`);
    }
    await press('Escape');
    await press('Tab');
    await press('ArrowRight');
    assert.equal(await focused(), 'tab-output');
    // Where the focus is can be seen.
    assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), 'none');
  },

  'an empty folder starts with a sample, which is written when it is saved': async ({ page, dir, url, verdict }) => {
    // A page that is open would ask for files that are gone.
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
    assert.equal(await page.locator('#code .gutter .bad').innerText(), '3');
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
    // The server is told of changes in its folder; that takes a moment.
    while ((await send()).colour !== 'green');
    // Who leaves the slash out finds it, token and all.
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
    assert.match(await page.locator('#code .row.bad').innerText(), /throw new Error.*Error: \/users\/u7/);
    assert.equal(await page.locator('#code .gutter .bad').innerText(), '3');
    await code.fill("export async function transformEvent() { return (await fetchV2('http://elsewhere.example/')).body; }");
    await verdict('failed: exception');
    assert.match(await page.locator('#code .row.bad').innerText(), /not among the hosts that --allow-net allows/);
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
    // A name that was made to point here: the browser believes it, the playground does not.
    const rebound = await page.context().newPage();
    const status = (await rebound.goto(origin.replace('127.0.0.1', 'rebound.example')))?.status();
    assert.equal(status, 403);
    // A tab that was not opened with the printed address gets the page, and nothing of the project.
    const stranger = await page.context().newPage();
    await stranger.goto(origin);
    await stranger.getByText('does not know the playground').waitFor();
    assert.equal(await stranger.locator('#files [role=tab]').count(), 0);
  },
};

// What is not a playground of its own with a closed network is started with these.
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
  // The network is closed: every name but that of loopback leads nowhere, and one leads back here.
  const rules = '--host-resolver-rules=MAP rebound.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1';
  const browser = await chromium.launchPersistentContext(path.join(root, 'profile'), {
    executablePath: CHROMIUM, headless: true, args: [...FLAGS, rules], timeout: PATIENCE,
  });
  browser.setDefaultTimeout(PATIENCE);
  try {
    const [page] = browser.pages();
    const errors = [];
    page.on('console', (message) => message.type() !== 'log' && errors.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => errors.push(error.stack));
    page.on('requestfailed', (request) => {
      // What was given up because something newer came is no failure.
      if (request.failure().errorText !== 'net::ERR_ABORTED') errors.push(`${request.url()}: ${request.failure().errorText}`);
    });
    page.on('request', (request) => request.url().startsWith(new URL(play.url).origin) || errors.push(`asks ${request.url()}`));
    /** An answer that refuses is an error on the console; here it has to be. */
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
