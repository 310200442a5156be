// Sends requests of 200 events to a server on loopback and says how long each took.
//
//   node drive.mjs PORT REQUESTS CONCURRENCY RATE SEED
//
// RATE 0: the next request follows the answer before it, on CONCURRENCY connections. Otherwise
// requests leave at that rate per second, and time counts from the moment when one was due, so that
// a server that falls behind cannot hide it. The answer is one line of JSON.

import { Agent, request } from 'node:http';

const EVENTS = 200;
const [port, requests, concurrency, rate, seed] = process.argv.slice(2).map(Number);

let state = seed;
const random = (below) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state % below;
};
const word = () => random(2 ** 31).toString(36);

const event = (index) => ({
  message: {
    messageId: `m-${index}-${word()}`,
    type: 'track',
    event: 'Order Completed',
    userId: word(),
    anonymousId: `${word()}-${word()}`,
    originalTimestamp: '2026-01-15T09:30:00.000Z',
    context: {
      ip: '192.0.2.1',
      locale: 'en-GB',
      app: { name: 'shop', version: '3.1.4' },
      page: { url: `https://shop.example.com/orders/${word()}`, title: 'Thank you', referrer: '' },
      traits: { email: `${word()}@example.com`, first: word(), last: word(), plan: 'team' },
      userAgent: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36',
    },
    properties: {
      order_id: `o-${word()}`,
      total: random(100000) / 100,
      currency: ['EUR', 'USD', 'GBP'][random(3)],
      status: random(10) === 0 ? 'test' : 'paid',
      card_number: word(),
      products: [1, 2, 3].map((n) => ({ sku: word(), name: `product ${n}`, price: random(10000) / 100, quantity: n })),
    },
  },
  metadata: {
    messageId: `m-${index}`,
    sourceId: 's1',
    sourceName: 'web',
    destinationId: 'd1',
    workspaceId: 'w1',
    jobId: index,
    rudderId: word(),
    receivedAt: '2026-01-15T09:30:01.000Z',
    eventName: 'Order Completed',
    eventType: 'track',
  },
  destination: { ID: 'd1', Name: 'warehouse', Transformations: [{ VersionID: 'orders-v1', ID: 't1' }] },
  libraries: [{ VersionID: 'price-tools' }],
});

const bodies = Array.from({ length: 8 }, (_, n) =>
  Buffer.from(JSON.stringify(Array.from({ length: EVENTS }, (_, index) => event(n * EVENTS + index)))),
);

const agent = new Agent({ keepAlive: true, maxSockets: concurrency });
const once = (index) =>
  new Promise((done, failed) => {
    const body = bodies[index % bodies.length];
    const headers = { 'content-type': 'application/json', 'content-length': body.length, 'x-feature-filter-code': '?0' };
    const options = { agent, port, host: '127.0.0.1', method: 'POST', path: '/customTransform', headers };
    const sent = request(options, (response) => {
      let size = 0;
      response.on('data', (chunk) => (size += chunk.length));
      response.on('end', () => done({ status: response.statusCode, size }));
      response.on('error', failed);
    });
    sent.on('error', failed);
    sent.end(body);
  });

const times = [];
let bad = 0;
const timed = async (index, since) => {
  try {
    const { status } = await once(index);
    if (status !== 200) bad += 1;
  } catch {
    bad += 1;
  }
  times.push(performance.now() - since);
};

const started = performance.now();
if (rate === 0) {
  let next = 0;
  const lane = async () => {
    while (next < requests) await timed(next++, performance.now());
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
} else {
  const under = [];
  for (let index = 0; index < requests; index++) {
    const due = started + (index * 1000) / rate;
    const wait = due - performance.now();
    if (wait > 0) await new Promise((done) => setTimeout(done, wait));
    under.push(timed(index, due));
  }
  await Promise.all(under);
}
const seconds = (performance.now() - started) / 1000;
times.sort((a, b) => a - b);
const at = (share) => times[Math.min(times.length - 1, Math.floor(share * times.length))];
console.log(
  JSON.stringify({
    requests,
    bad,
    seconds,
    events_per_second: (requests * EVENTS) / seconds,
    p50: at(0.5),
    p99: at(0.99),
    max: times[times.length - 1],
    bytes: bodies[0].length,
  }),
);
agent.destroy();
