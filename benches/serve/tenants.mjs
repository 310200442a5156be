#!/usr/bin/env node
// Measures how the tenants of one server affect each other.
//
//   benches/serve/tenants.mjs beside [--sluicegate BINARY] [--seconds N] [--only NAME]
//   benches/serve/tenants.mjs many [--sluicegate BINARY] [--seconds N] [--programs N,N…] [-- FLAG…]
//
// beside: a trivial tenant sends 20 requests of one event per second. Meanwhile one client, then four clients of
// another tenant send requests of 200 events: events of 40 ms and of 0.9 s CPU, events that are fast at first and then
// take 40 ms, events that wait 50 ms and 0.5 s for a service on loopback, the last also in transformBatch. Prints the
// latencies of the trivial tenant, in ms, and the number of answered requests of the other one.
//
// many: four clients send requests of 5 events, each for the next of N programs in turn, and then for programs drawn by
// Zipf's law (s = 1.1). Prints requests per second, latencies, the memory of all processes (PSS) and their number at
// the end, and their CPU time per request, in µs.
//
// FLAGs are passed to the server. Answers are checked: the exit code is 1 if one is wrong. The latencies include time
// in the machine's own queues, so run nothing else at the same time.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { cpu, processes, pss } from './processes.mjs';
import { client, figures, paced } from './requests.mjs';

const own = process.argv.slice(2);
const flags = own.includes('--') ? own.splice(own.indexOf('--')).slice(1) : [];
const option = (name, fallback) => (own.includes(name) ? own[own.indexOf(name) + 1] : fallback);
const binary = option('--sluicegate', new URL('../../target/release/sluicegate', import.meta.url).pathname);
const seconds = Number(option('--seconds', '10'));

const TRIVIAL = 'export const transformEvent = (event) => event;';
/** Code that computes for this many milliseconds if its process has a core to itself, or longer. */
const busy = (ms, condition = 'true') => `
  const spin = (n) => { let x = 1; for (let i = 0; i < n; i++) x = (Math.imul(x, 1664525) + i) | 0; return x; };
  let scale = 1e6;
  for (let n = 0; n < 3; n++) { const since = Date.now(); spin(2e7); scale = 2e7 / Math.max(1, Date.now() - since); }
  let seen = 0;
  export function transformEvent(event) { seen += 1; if (${condition}) event.x = spin(scale * ${ms}); return event; }`;
const waits = (ms, port, batch = false) =>
  batch
    ? `export const transformBatch = (events) => Promise.all(events.map(async (event) => {
         event.status = (await fetchV2('http://127.0.0.1:${port}/${ms}')).status; return event; }));`
    : `export async function transformEvent(event) {
         event.status = (await fetchV2('http://127.0.0.1:${port}/${ms}')).status; return event; }`;

const event = (version, n) => ({
  message: { n, type: 'track', properties: { name: `item ${n}`, price: n / 8 } },
  metadata: { messageId: `m${n}`, sourceId: 's', destinationId: 'd', workspaceId: version },
  destination: { Transformations: [{ VersionID: version }] },
});
const body = (version, count) => Buffer.from(JSON.stringify(Array.from({ length: count }, (_, n) => event(version, n))));

/** Starts a server with this code, by version. */
const serve = async (code, more) => {
  const dir = mkdtempSync(join(tmpdir(), 'tenants-'));
  for (const [version, text] of Object.entries(code)) writeFileSync(join(dir, `${version}.js`), text);
  const args = ['serve', '--dir', dir, '--listen', '127.0.0.1:0', '--log-level', 'warn', ...more, ...flags];
  const child = spawn(binary, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const lines = createInterface({ input: child.stderr });
  const port = await new Promise((done, failed) => {
    child.on('exit', () => failed(new Error('the server ended')));
    lines.on('line', (line) => (line.includes('http://') ? done(Number(line.split(':').at(-1))) : console.error(line)));
  });
  const end = () =>
    new Promise((done) => {
      child.removeAllListeners('exit').on('exit', done);
      child.kill('SIGKILL');
      rmSync(dir, { recursive: true });
    });
  return { port, pid: child.pid, end };
};

let wrong = 0;
const check = (answer, count) => {
  const rows = answer.status === 200 ? JSON.parse(answer.body) : [];
  const right = rows.length === count && rows.every((row, n) => row.statusCode === 200 && row.output.n === n);
  if (!right) {
    if (wrong === 0) console.error(answer.status, answer.body.toString().slice(0, 300));
    wrong += 1;
  }
  return right;
};

const beside = async () => {
  const service = createServer((request, response) => setTimeout(() => response.end('{}'), Number(request.url.slice(1))));
  await new Promise((done) => service.listen(0, '127.0.0.1', done));
  const web = service.address().port;
  const others = {
    nobody: TRIVIAL,
    '40 ms of CPU': busy(40),
    '0.9 s of CPU': busy(900),
    'fast, then 40 ms': busy(40, 'seen > 2000'),
    'waits 50 ms': waits(50, web),
    'waits 0.5 s': waits(500, web),
    'waits 0.5 s, batch': waits(500, web, true),
  };
  const more = ['--allow-net', `127.0.0.1:${web}`, '--cpu-limit', '10s', '--wall-limit', '60s'];
  for (const [name, code] of Object.entries(others)) {
    if (option('--only', name) !== name) continue;
    for (const clients of name === 'nobody' ? [0] : [1, 4]) {
      const server = await serve({ trivial: TRIVIAL, other: code }, more);
      const { send, end } = client(server.port);
      const [small, large] = [body('trivial', 1), body('other', 200)];
      for (let n = 0; n < 20; n++) check(await send(small, true), 1);
      let over = false;
      let answered = 0;
      const lane = async () => {
        while (!over) {
          const answer = await send(large, true).catch(() => undefined);
          if (over || !answer) return;
          answered += check(answer, 200) ? 1 : 0;
        }
      };
      for (let n = 0; n < clients; n++) lane();
      const times = [];
      await paced(seconds * 20, 20, async (_, since) => {
        check(await send(small, true), 1);
        times.push(performance.now() - since);
      });
      over = true;
      const { p50, p99, max } = figures(times);
      const [a, b, c] = [p50, p99, max].map((ms) => ms.toFixed(1).padStart(8));
      console.log(`| ${name.padEnd(20)} | ${clients} | ${a} | ${b} | ${c} | ${String(answered).padStart(5)} |`);
      end();
      await server.end();
    }
  }
  service.close();
};

const many = async () => {
  for (const count of option('--programs', '64,300,1000').split(',').map(Number)) {
    const versions = Array.from({ length: count }, (_, n) => `v${n}`);
    const code = Object.fromEntries(versions.map((version) => [version, `// ${version}\n${TRIVIAL}`]));
    const server = await serve(code, []);
    const { send, end } = client(server.port);
    const bodies = versions.map((version) => body(version, 5));
    const weights = versions.map((_, n) => (n + 1) ** -1.1);
    const whole = weights.reduce((sum, weight) => sum + weight, 0);
    const zipf = () => {
      let left = Math.random() * whole;
      return Math.max(0, weights.findIndex((weight) => (left -= weight) < 0));
    };
    let turn = 0;
    for (const [name, pick] of [['in turn', () => turn++ % count], ['by Zipf', zipf]]) {
      const run = async (time, times) => {
        const until = performance.now() + time * 1000;
        const lane = async () => {
          while (performance.now() < until) {
            const since = performance.now();
            check(await send(bodies[pick()], true), 5);
            times.push(performance.now() - since);
          }
        };
        await Promise.all([lane(), lane(), lane(), lane()]);
      };
      // Before the measurement, each program is requested once.
      if (name === 'in turn') for (const one of bodies) check(await send(one, true), 5);
      await run(seconds / 4, []);
      const times = [];
      const before = cpu(server.pid);
      await run(seconds, times);
      const each = (((cpu(server.pid) - before) / times.length) * 1e6).toFixed(0).padStart(5);
      const { p50, p99 } = figures(times);
      const rate = (times.length / seconds).toFixed(0).padStart(6);
      const [a, b] = [p50, p99].map((ms) => ms.toFixed(1).padStart(6));
      const memory = pss(server.pid).toFixed(0).padStart(5);
      const left = processes(server.pid).length - 1;
      console.log(`| ${String(count).padStart(5)} | ${name} | ${rate} | ${a} | ${b} | ${memory} | ${left} | ${each} |`);
    }
    end();
    await server.end();
  }
};

await { beside, many }[own[0] ?? 'beside']();
if (wrong > 0) console.error(`${wrong} answers were wrong`);
process.exit(wrong > 0 ? 1 : 0);
