// A hand-written loop for a transformation that sends requests: JSONL in plain Node, a window of events in flight,
// outputs in the order of the input.
//
//   node node-window.mjs TRANSFORMATION [WINDOW] < in.jsonl > out.jsonl
//
// It uses Node's own `fetch`, which keeps connections open. An event that fails is counted and fails alone. There are
// no limits and no isolation.

import { writeSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { createInterface } from 'node:readline';

const [path, window = '256'] = process.argv.slice(2);
const counts = { ok: 0, failed: 0 };

/** The function that the transformation calls, as in sluicegate. */
globalThis.fetchV2 = async (url, options) => {
  const response = await fetch(url, options);
  const text = await response.text();
  let body = text;
  try {
    body = JSON.parse(text);
  } catch {
    // Not JSON: the body stays text.
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

/** Outputs that are not written yet, in order. */
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
