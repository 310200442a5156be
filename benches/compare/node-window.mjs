// The loop that one would write by hand for a transformation that asks a service: JSONL in plain Node, a window of events
// under way at a time, outputs in the order of the input.
//
//   node node-window.mjs TRANSFORMATION [WINDOW] < in.jsonl > out.jsonl
//
// Node's own `fetch`, which keeps its connections. An event that fails is counted and fails alone. It has no limits and no
// isolation.

import { writeSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { createInterface } from 'node:readline';

const [path, window = '256'] = process.argv.slice(2);
const counts = { ok: 0, failed: 0 };

/** What the transformation calls, as sluicegate has it. */
globalThis.fetchV2 = async (url, options) => {
  const response = await fetch(url, options);
  const text = await response.text();
  let body = text;
  try {
    body = JSON.parse(text);
  } catch {
    // It stays the text that it is.
  }
  return { url, status: response.status, headers: Object.fromEntries(response.headers), body };
};


const { transformEvent } = await import(pathToFileURL(path).href);

let pending = '';

function emit(text) {
  pending += `${text}\n`;
  if (pending.length > 65536) flush();
}

function flush() {
  if (pending !== '') writeSync(1, pending);
  pending = '';
}

async function one(line) {
  try {
    return JSON.stringify(await transformEvent(JSON.parse(line), () => ({})));
  } catch {
    return undefined;
  }
}

/** Outputs that have not left, the first one first. */
const queue = [];

async function leave() {
  const text = await queue.shift();
  if (text === undefined) counts.failed += 1;
  else {
    counts.ok += 1;
    emit(text);
  }
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  if (line === '') continue;
  queue.push(one(line));
  if (queue.length >= Number(window)) await leave();
}
while (queue.length > 0) await leave();
flush();
console.error(JSON.stringify(counts));
