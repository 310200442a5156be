// What `serve` does with events that wait: requests of 200 events that each ask a service on loopback.
//
//   node waiting.mjs --sluicegate BINARY [--latency MS] [--clients N,…] [--requests N] [--batch] [-- FLAG…]
//
// For each number of clients: p50 and p99 of a request, events per second, and CPU time per event of the server and its
// workers. The service and this program run on the same cores.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { EVENTS, bodies, client } from './requests.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sluicegate: { type: 'string' },
    latency: { type: 'string', default: '50' },
    clients: { type: 'string', default: '1,16' },
    requests: { type: 'string', default: '200' },
    batch: { type: 'boolean', default: false },
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

/** CPU time of a process and those that it has started, in seconds. */
const cpuOf = (pid) => {
  const ticks = (id) => {
    const fields = readFileSync(`/proc/${id}/stat`, 'utf8').split(') ')[1].split(' ');
    return [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0) / 100;
  };
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean),
  );
  return [String(pid), ...children].reduce((sum, id) => sum + ticks(id), 0);
};

const service = spawn(process.execPath, [join(import.meta.dirname, '../compare/service.mjs'), values.latency], {
  stdio: ['pipe', 'pipe', 'inherit'],
});
const port = await firstLine(service.stdout, /(\d+)\n/);
const dir = mkdtempSync(join(tmpdir(), 'waiting-'));
const ask = `(await fetchV2('http://127.0.0.1:${port}/plans/' + event.userId)).body.plan`;
const one = `async (event) => { event.plan = ${ask}; return event; }`;
writeFileSync(
  join(dir, 'orders-v1.js'),
  values.batch
    ? `export const transformBatch = (events) => Promise.all(events.map(${one}));`
    : `export const transformEvent = ${one};`,
);
writeFileSync(join(dir, 'price-tools.js'), 'export const nothing = 0;');
const flags = ['serve', '--listen', '127.0.0.1:0', '--dir', dir, '--allow-net', `127.0.0.1:${port}`, ...positionals];
const server = spawn(values.sluicegate, flags, { stdio: ['ignore', 'ignore', 'pipe'] });
const address = await firstLine(server.stderr, /http:\/\/[^:]+:(\d+)/);
const all = bodies('orders', 1);

console.log('| clients | p50, ms | p99, ms | events/s | CPU µs/event |\n|---:|---:|---:|---:|---:|');
for (const clients of values.clients.split(',').map(Number)) {
  const { send, end } = client(Number(address));
  const times = [];
  let bad = 0;
  let next = -2 * clients;
  let started = 0;
  let cpu = 0;
  const lane = async () => {
    while (next < Number(values.requests)) {
      if (next++ === 0) {
        started = performance.now();
        cpu = cpuOf(server.pid);
      }
      const before = performance.now();
      const { status } = await send(all[(next + all.length * clients) % all.length]);
      if (status !== 200) bad += 1;
      if (started > 0) times.push(performance.now() - before);
    }
  };
  await Promise.all(Array.from({ length: clients }, lane));
  const seconds = (performance.now() - started) / 1000;
  times.sort((a, b) => a - b);
  const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))].toFixed(1);
  const events = times.length * EVENTS;
  const each = ((cpuOf(server.pid) - cpu) / events) * 1e6;
  console.log(`| ${clients} | ${at(0.5)} | ${at(0.99)} | ${Math.round(events / seconds)} | ${each.toFixed(0)} |`);
  if (bad > 0) console.log(`${bad} requests were not answered with 200`);
  end();
}
server.kill('SIGTERM');
service.kill();
rmSync(dir, { recursive: true });
process.exit();
