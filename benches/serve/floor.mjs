// Measures the time that V8 itself needs for the events of benches/serve/run: the least CPU time per event, of sixty
// passes, to parse an event and its metadata, run the code of examples/serve, and print the result. Nothing is
// received, grouped or sent.
//
//   node benches/serve/floor.mjs

import { readFileSync } from 'node:fs';

import { bodies } from './requests.mjs';

const PASSES = 60;
const examples = new URL('../../examples/serve/', import.meta.url);
const module = (code) => `data:text/javascript;base64,${Buffer.from(code).toString('base64')}`;
const library = module(readFileSync(new URL('price-tools.js', examples)));
const code = readFileSync(new URL('orders-v1.js', examples), 'utf8').replace("'priceTools'", `'${library}'`);
const { transformEvent } = await import(module(code));

// Separate one-byte strings, as in the engine.
const text = (value) => Buffer.from(JSON.stringify(value)).latin1Slice();
const events = bodies('orders', 1)
  .flatMap((body) => JSON.parse(body.toString()))
  .map(({ message, metadata }) => [text(message), text(metadata)]);

let least = Infinity;
let length = 0;
for (let pass = 0; pass < PASSES; pass += 1) {
  const before = process.threadCpuUsage();
  for (const [message, metadata] of events) {
    const result = transformEvent(JSON.parse(message), () => JSON.parse(metadata));
    if (result) length += JSON.stringify(result).length;
  }
  const { user, system } = process.threadCpuUsage(before);
  least = Math.min(least, (user + system) / events.length);
}
console.log(`${least.toFixed(2)} µs per event, ${Math.round(length / PASSES)} characters out`);
