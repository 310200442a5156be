// Measures `serve` with events that wait: requests of 200 events, each of which sends a request to a service on
// loopback.
//
//   node waiting.mjs --sluicegate BINARY [--latency MS] [--clients N,…] [--requests N] [--rounds N] [--batch]
//                    [--peer-url http://127.0.0.1:PORT --peer-pid PID [--peer-name NAME] [--backend-port PORT]] [-- FLAG…]
//
// Prints for each number of clients: p50 and p99 of a request, events per second, and CPU time per event of the server
// and its workers, as medians over the rounds. The service and this program run on the same cores.
//
// With --peer-url, another running server gets the same requests, in turns. It must be started with
// CONFIG_BACKEND_URL=http://127.0.0.1:9100, or the port of --backend-port: this program is its config backend and sends
// it the code. Its CPU time is that of the process PID and all its descendants. The ratio is sluicegate's CPU time per
// event divided by the peer's: the median, the lowest and the highest of the rounds. Every status is checked, and the
// rows of each 16th answer: the exit code is 1 if one is wrong.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { cpu } from './processes.mjs';
import { EVENTS, bodies, client, figures } from './requests.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sluicegate: { type: 'string' },
    latency: { type: 'string', default: '50' },
    clients: { type: 'string', default: '1,16' },
    requests: { type: 'string', default: '200' },
    rounds: { type: 'string', default: '1' },
    batch: { type: 'boolean', default: false },
    'peer-url': { type: 'string' },
    'peer-pid': { type: 'string' },
    'peer-name': { type: 'string', default: 'the running server' },
    'backend-port': { type: 'string', default: '9100' },
  },
});

const firstLine = (stream, pattern) =>
  new Promise((resolve) => {
    let text = '';
    stream.on('data', (chunk) => {
      text += chunk;
      const found = pattern.exec(text);
      if (found) resolve(found[1]);
    });
  });

const service = spawn(process.execPath, [join(import.meta.dirname, '../compare/service.mjs'), values.latency], {
  stdio: ['pipe', 'pipe', 'inherit'],
});
const port = await firstLine(service.stdout, /(\d+)\n/);
const ask = `(await fetchV2('http://127.0.0.1:${port}/plans/' + event.userId)).body.plan`;
const one = `async (event) => { event.plan = ${ask}; return event; }`;
const code = values.batch
  ? `export const transformBatch = (events) => Promise.all(events.map(${one}));`
  : `export const transformEvent = ${one};`;
const LIBRARY = 'export const nothing = 0;';

// Servers cache code by its version, and this code contains the service's port, so each run needs another version.
const version = `waiting-${port}-${Date.now()}`;
const all = bodies('orders', 1).map((body) => Buffer.from(body.toString().replaceAll('"orders-v1"', `"${version}"`)));

const ours = async () => {
  const dir = mkdtempSync(join(tmpdir(), 'waiting-'));
  writeFileSync(join(dir, `${version}.js`), code);
  writeFileSync(join(dir, 'price-tools.js'), LIBRARY);
  const flags = ['serve', '--listen', '127.0.0.1:0', '--dir', dir, '--allow-net', `127.0.0.1:${port}`, ...positionals];
  const child = spawn(values.sluicegate, flags, { stdio: ['ignore', 'ignore', 'pipe'] });
  const address = await firstLine(child.stderr, /http:\/\/[^:]+:(\d+)/);
  const end = () => {
    child.kill('SIGTERM');
    rmSync(dir, { recursive: true });
  };
  return { name: 'sluicegate', port: Number(address), pid: child.pid, runs: [], end };
};

/** A server that runs already, and its config backend. */
const peer = async () => {
  const backend = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://backend');
    const library = pathname.includes('Library');
    const versionId = searchParams.get('versionId');
    const name = library ? versionId : 'waiting';
    const text = { code: library ? LIBRARY : code, codeVersion: '1', language: 'javascript' };
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ id: name, name, versionId, workspaceId: 'w1', ...text }));
  });
  await new Promise((done) => backend.listen(Number(values['backend-port']), '127.0.0.1', done));
  const end = () => backend.close();
  return { name: values['peer-name'], port: Number(new URL(values['peer-url']).port), pid: Number(values['peer-pid']), runs: [], end };
};

let wrong = 0;
const check = ({ status, body }) => {
  const rows = status === 200 ? JSON.parse(body) : [];
  if (rows.length === EVENTS && rows.every(({ statusCode, output }) => statusCode === 200 && output.plan === 'pro')) return;
  if (wrong++ === 0) console.error(status, body.toString().slice(0, 300));
};

/** Sends some requests that do not count, then the given number of requests from the given number of clients. */
const drive = async (server, clients, requests) => {
  const { send, end } = client(server.port);
  const times = [];
  const lanes = async (count, took) => {
    let next = 0;
    const lane = async () => {
      while (next < count) {
        const body = all[next++ % all.length];
        const since = performance.now();
        const answer = await send(body, true);
        took.push(performance.now() - since);
        // Parsing an answer takes time on the cores that the servers need, so only some answers are checked.
        if (next % 16 === 0 || answer.status !== 200) check(answer);
      }
    };
    await Promise.all(Array.from({ length: clients }, lane));
  };
  await lanes(2 * clients, []);
  const [started, before] = [performance.now(), cpu(server.pid)];
  await lanes(requests, times);
  const seconds = (performance.now() - started) / 1000;
  const events = times.length * EVENTS;
  const each = ((cpu(server.pid) - before) / events) * 1e6;
  end();
  return { clients, ...figures(times), rate: events / seconds, each };
};

const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1];
const report = (servers, clients) => {
  for (const { name, runs } of servers) {
    const of = (key) => median(runs.map((run) => run[key]));
    const cells = [of('p50').toFixed(1), of('p99').toFixed(1), Math.round(of('rate')), of('each').toFixed(0)];
    console.log(`| ${[name, clients, ...cells].join(' | ')} |`);
  }
  if (servers.length < 2) return;
  const ratios = servers[0].runs.map(({ each }, round) => each / servers[1].runs[round].each).sort((a, b) => a - b);
  const [low, middle, high] = [ratios[0], median(ratios), ratios.at(-1)].map((ratio) => ratio.toFixed(2));
  console.log(`CPU per event with ${clients}: ${middle} times theirs (${low}–${high})`);
};

const servers = [await ours(), ...(values['peer-url'] ? [await peer()] : [])];
console.log('| | clients | p50, ms | p99, ms | events/s | CPU µs/event |\n|---|---:|---:|---:|---:|---:|');
for (const clients of values.clients.split(',').map(Number)) {
  for (const server of servers) server.runs = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    // The servers take turns at being first.
    for (const server of round % 2 === 0 ? servers : servers.toReversed()) {
      server.runs.push(await drive(server, clients, Number(values.requests)));
    }
  }
  report(servers, clients);
}
if (wrong > 0) console.error(`${wrong} answers were wrong`);
for (const { end } of servers) end();
service.kill();
process.exit(wrong > 0 ? 1 : 0);
