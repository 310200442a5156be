// A hand-written loop: a transformation over JSONL in plain Node 20.
//
//   node node-loop.mjs [--show-failed] TRANSFORMATION [LIBDIR…] < in.jsonl > out.jsonl
//   node node-loop.mjs --floor TRANSFORMATION [LIBDIR…] < in.jsonl
//
// With --floor it measures the cost without input and output: the least CPU time per event, of ten passes, to parse,
// transform and stringify lines that are in memory.
//
// sluicegate is compared with this loop, so the loop is as fast as we could make it. It does only
// what a careful person would do: it reads in chunks, so that a file may be larger than memory; an
// event that fails is counted and fails alone; a promise is awaited. It has no limits and no
// isolation, and it rounds integers beyond 2^53. The counts are written to stderr as one line of
// JSON. With --show-failed each failed line is written there too, after its error.
//
// Variants that were tried, as CPU time relative to this form (Node 20.20, medians of 15 to 20
// interleaved runs in one process, on the workloads small, cjk, truths and wide; up to 0.05 is
// noise; the writers and the 1 MiB reads were compared with each other on whole decoded chunks):
//
//   the floor: parse, transform and stringify lines in memory    0.90 0.67 0.88 0.86
//   reading   latin1 for chunks that are ASCII, else utf8        0.99 0.99 1.01 1.01
//             TextDecoder, line by line                          1.00 1.04 0.99 0.99
//             decode a whole chunk, then cut it with indexOf     1.00 0.99 1.14 1.00
//             decode a whole chunk, then split it                1.07 1.07 1.20 1.05
//             all of stdin as one string, split                  1.06 1.06 1.22 1.02
//             a stream with setEncoding, for await               1.19 1.33 1.39 1.10
//             readline, 'line' events                            1.15 1.15 1.41 1.16
//   writing   TextEncoder.encodeInto a buffer                    1.01 1.00 1.03 1.02
//             strings joined by +=                               1.03 1.05 1.04 1.07
//             strings in an array, joined                        1.02 1.08 1.04 1.13
//   buffers   256 KiB in place of 64 KiB, both ways              0.99 0.99 1.00 1.01
//             1 MiB in place of 64 KiB, for reading              1.04 1.03 1.04 0.99
//   V8        --max-semi-space-size of 16, 32, 64 MiB            no better than the default
//
// Whole chunks are slower on truths because one name outside Latin-1 makes the entire chunk a
// two-byte string, and with it every line of the chunk.

import { existsSync, readFileSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const CHUNK = 64 * 1024;
const LINE_FEED = 10;

/**
 * Imports a module with its bare specifiers resolved to files of the folders. It rewrites the
 * text and does not use module.register, which made a pipe on stdout non-blocking.
 */
function load(path, folders) {
  return import(moduleUrl(path, folders));
}

function moduleUrl(path, folders) {
  const specifier = /(^\s*(?:import|export)\b[^'"]*)(['"])([\w@][\w@./-]*)\2/gm;
  const source = readFileSync(path, 'utf8').replace(specifier, (whole, before, quote, name) => {
    const library = folders.map((folder) => join(folder, `${name}.js`)).find(existsSync);
    return library ? `${before}'${moduleUrl(library, folders)}'` : whole;
  });
  return `data:text/javascript;base64,${Buffer.from(source).toString('base64')}`;
}

/** Yields bytes of stdin up to the last line feed that has arrived. The bytes after it wait for the next chunk. */
function* chunks() {
  let buffer = Buffer.allocUnsafeSlow(CHUNK);
  let filled = 0;
  for (;;) {
    if (filled === buffer.length) {
      // One line is longer than the buffer.
      const larger = Buffer.allocUnsafeSlow(buffer.length * 2);
      buffer.copy(larger);
      buffer = larger;
    }
    const read = retry(() => readSync(0, buffer, filled, buffer.length - filled, null));
    if (read === 0) break;
    const end = buffer.subarray(filled, filled + read).lastIndexOf(LINE_FEED);
    if (end < 0) {
      filled += read;
      continue;
    }
    const complete = filled + end + 1;
    filled += read;
    yield buffer.subarray(0, complete);
    buffer.copyWithin(0, complete, filled);
    filled -= complete;
  }
  if (filled > 0) yield buffer.subarray(0, filled);
}

let output = Buffer.allocUnsafeSlow(CHUNK * 4);
let pending = 0;

function emit(text) {
  // A UTF-16 unit needs at most three bytes.
  const room = text.length * 3 + 1;
  if (room > output.length - pending) {
    flush();
    if (room > output.length) output = Buffer.allocUnsafeSlow(room);
  }
  pending += output.utf8Write(text, pending);
  output[pending++] = LINE_FEED;
  if (pending >= CHUNK) flush();
}

function flush() {
  let written = 0;
  while (written < pending) {
    written += retry(() => writeSync(1, output, written, pending - written));
  }
  pending = 0;
}

/** Repeats an operation on EAGAIN, which a non-blocking pipe returns where a blocking one would wait. */
function retry(operation) {
  for (;;) {
    try {
      return operation();
    } catch (error) {
      // The reader of the output has closed it.
      if (error.code === 'EPIPE') process.exit(0);
      if (error.code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

const counts = { in: 0, ok: 0, dropped: 0, failed: 0, out: 0 };

function settle(result) {
  if (result === null || result === undefined) {
    counts.dropped += 1;
  } else if (Array.isArray(result)) {
    // All or none: a bad element makes the event fail before any output of it is written.
    const texts = result.map(stringify);
    for (const text of texts) emit(text);
    counts.out += texts.length;
    if (texts.length > 0) counts.ok += 1;
    else counts.dropped += 1;
  } else {
    emit(stringify(result));
    counts.ok += 1;
    counts.out += 1;
  }
}

function stringify(event) {
  if (typeof event !== 'object' || event === null) throw new TypeError('not an object');
  return JSON.stringify(event);
}

function floor() {
  const lines = [];
  for (const chunk of chunks()) {
    // Separate strings, as in the loop.
    for (let start = 0, end; start < chunk.length; start = end + 1) {
      end = chunk.indexOf(LINE_FEED, start);
      if (end < 0) end = chunk.length;
      if (end > start) lines.push(chunk.utf8Slice(start, end));
    }
  }
  let least = Infinity;
  let length = 0;
  for (let pass = 0; pass < 10; pass += 1) {
    const before = process.threadCpuUsage();
    for (const line of lines) {
      try {
        const result = transformEvent(JSON.parse(line), metadata);
        if (result) length += JSON.stringify(result).length;
      } catch {
        // The time of a failed event counts too.
      }
    }
    const { user, system } = process.threadCpuUsage(before);
    least = Math.min(least, (user + system) / lines.length);
  }
  console.log(`${least.toFixed(2)} µs per event, ${Math.round(length / 10)} characters out`);
}

function fail(error, line, show) {
  counts.failed += 1;
  if (show) console.error(`${String(error)}\n${line}`);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'show-failed': { type: 'boolean', default: false }, floor: { type: 'boolean', default: false } },
});
const show = values['show-failed'];
const [path, ...folders] = positionals;
if (!path) {
  console.error('usage: node node-loop.mjs [--show-failed] TRANSFORMATION [LIBDIR…]');
  process.exit(2);
}

// The functions that the transformation may call.
globalThis.log = () => {};
const metadata = () => ({});
const { transformEvent } = await load(path, folders);

if (values.floor) {
  floor();
  process.exit(0);
}

for (const chunk of chunks()) {
  let start = 0;
  while (start < chunk.length) {
    let end = chunk.indexOf(LINE_FEED, start);
    if (end < 0) end = chunk.length;
    const line = chunk.utf8Slice(start, end);
    start = end + 1;
    if (line === '' || line === '\r') continue;
    counts.in += 1;
    try {
      const result = transformEvent(JSON.parse(line), metadata);
      // Awaiting a value that is not a promise would cost a turn of the microtask queue per event.
      settle(typeof result?.then === 'function' ? await result : result);
    } catch (error) {
      fail(error, line, show);
    }
  }
}
flush();
console.error(JSON.stringify(counts));
