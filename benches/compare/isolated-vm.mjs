// A Node host with isolated-vm, which runs users' code as event servers do: one isolate for all
// batches, 200 events a batch, JSON in and JSON out.
//
//   node isolated-vm.mjs copy|text PACKAGE TRANSFORMATION [LIBDIR…] < in.jsonl > out.jsonl
//
// PACKAGE is the folder of isolated-vm. The two ways to pass a batch:
//
//   copy  the host parses the events, passes them as one structured copy, gets the results as
//         another one, and prints them, as a host does that uses the events itself
//   text  the host passes the batch's text, and the isolate parses and prints: the cheapest way
//         that isolated-vm allows; the host never sees an event
//
// An event that throws fails alone; the time limit applies to the batch. Promises are not awaited:
// no workload returns any. The counts are written to stderr as one line of JSON.

import { existsSync, readFileSync, readSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const BATCH = 200;
const CHUNK = 256 * 1024;
const LINE_FEED = 10;
const MEMORY_LIMIT = 128;
const TIME_LIMIT = 4000;

const [way, packageFolder, path, ...folders] = process.argv.slice(2);
if (!path || (way !== 'copy' && way !== 'text')) {
  console.error('usage: node isolated-vm.mjs copy|text PACKAGE TRANSFORMATION [LIBDIR…]');
  process.exit(2);
}
const ivm = createRequire(import.meta.url)(resolve(packageFolder));

// The code inside the isolate. The result of a failed event is a number, that of a dropped event is not.
const DRIVER = `
  const FAILED = 1;
  const metadata = () => ({});
  const transform = (event) => {
    try {
      return transformEvent(event, metadata);
    } catch {
      return FAILED;
    }
  };
  const settle = (counts, result) => {
    counts.in += 1;
    if (result === FAILED) counts.failed += 1;
    else if (result === null || result === undefined) counts.dropped += 1;
    else {
      counts.ok += 1;
      counts.out += 1;
      return true;
    }
    return false;
  };
  globalThis.copy = (events, counts) => events.map(transform).filter((result) => settle(counts, result));
  globalThis.text = (lines, counts) => {
    let out = '';
    for (const line of lines.split('\\n')) {
      let result;
      try {
        result = transform(JSON.parse(line));
      } catch {
        result = FAILED;
      }
      if (settle(counts, result)) out += JSON.stringify(result) + '\\n';
    }
    return out;
  };
`;

const isolate = new ivm.Isolate({ memoryLimit: MEMORY_LIMIT });
const context = await isolate.createContext();

const modules = new Map();
async function compile(file) {
  if (!modules.has(file)) {
    modules.set(file, await isolate.compileModule(readFileSync(file, 'utf8'), { filename: file }));
  }
  return modules.get(file);
}

function find(name) {
  const file = folders.map((folder) => join(folder, `${name}.js`)).find(existsSync);
  if (!file) throw new Error(`import from ${name} failed. Module not found.`);
  return file;
}

await context.eval(`globalThis.log = () => {};
  globalThis.counts = { in: 0, ok: 0, dropped: 0, failed: 0, out: 0 };`);
const transformation = await compile(path);
await transformation.instantiate(context, (name) => compile(find(name)));
await transformation.evaluate();
const entry = await transformation.namespace.get('transformEvent', { reference: true });
await context.global.set('transformEvent', entry.derefInto());
await context.eval(DRIVER);
const counts = await context.eval('counts', { reference: true });
const call = await context.global.get(way, { reference: true });

/** Runs a batch of lines; returns the output as text. */
function run(lines) {
  const options = { timeout: TIME_LIMIT, arguments: { copy: true }, result: { copy: true } };
  const shared = counts.derefInto();
  if (way === 'text') return call.applySync(undefined, [lines.join('\n'), shared], { timeout: TIME_LIMIT });
  const input = new ivm.ExternalCopy(lines.map((line) => JSON.parse(line))).copyInto({ release: true });
  const results = call.applySync(undefined, [input, shared], { ...options, arguments: {} });
  let out = '';
  for (const result of results) out += `${JSON.stringify(result)}\n`;
  return out;
}

function write(text) {
  const bytes = Buffer.from(text);
  let written = 0;
  while (written < bytes.length) written += writeSync(1, bytes, written);
}

/** Reads stdin in chunks, and yields batches of complete lines. */
function* batches() {
  let buffer = Buffer.allocUnsafeSlow(CHUNK);
  let filled = 0;
  let lines = [];
  for (;;) {
    if (filled === buffer.length) buffer = Buffer.concat([buffer], buffer.length * 2);
    const read = readSync(0, buffer, filled, buffer.length - filled, null);
    filled += read;
    let start = 0;
    for (;;) {
      let end = buffer.subarray(0, filled).indexOf(LINE_FEED, start);
      if (end < 0 && (read > 0 || start === filled)) break;
      if (end < 0) end = filled;
      const line = buffer.utf8Slice(start, end);
      start = Math.min(end + 1, filled);
      if (line !== '' && line !== '\r') lines.push(line);
      if (lines.length === BATCH) {
        yield lines;
        lines = [];
      }
    }
    if (read === 0) break;
    buffer.copyWithin(0, start, filled);
    filled -= start;
  }
  if (lines.length > 0) yield lines;
}

for (const lines of batches()) write(run(lines));
console.error(JSON.stringify(await counts.copy()));
