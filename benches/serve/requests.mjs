// The requests (eight bodies of 200 events, generated from a seed), and a client that sends them.

import { readFileSync } from 'node:fs';
import { connect } from 'node:net';

export const EVENTS = 200;

/**
 * The bodies. `orders`: generated events, for examples/serve. Otherwise a file of events, for
 * examples/warehouse-actions.
 */
export const bodies = (workload, seed) => {
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

  const lines = workload === 'orders' ? [] : readFileSync(workload, 'utf8').trim().split('\n');
  const row = (index) => {
    const made = event(index);
    // Inserted as text: JSON.parse would round some ids of the file.
    const message = lines[(index + seed * EVENTS) % lines.length];
    const { messageId = null } = JSON.parse(message);
    const destination = { ...made.destination, Transformations: [{ VersionID: 'warehouse-v1', ID: 't2' }] };
    const metadata = { ...made.metadata, messageId, eventName: '', eventType: 'identify' };
    const rest = JSON.stringify({ metadata, destination, libraries: [{ VersionID: 'warehouseActionsUtils' }] });
    return `{"message":${message},${rest.slice(1)}`;
  };
  const one = workload === 'orders' ? (index) => JSON.stringify(event(index)) : row;
  const body = (n) => Buffer.from(`[${Array.from({ length: EVENTS }, (_, index) => one(n * EVENTS + index))}]`);
  return Array.from({ length: 8 }, (_, n) => body(n));
};

/**
 * Creates a client that sends bodies to a server on loopback, on connections that are kept open. `send` resolves to an
 * answer with its status, its headers and, on request, its body. The client does less work than `node:http`: the
 * client's own time is part of the latency of every server, and distorts that of the fastest one most.
 */
export const client = (port) => {
  const idle = [];
  const requests = new Map();
  const asBytes = (body) => {
    if (!requests.has(body)) {
      const head = [
        'POST /customTransform HTTP/1.1',
        `host: 127.0.0.1:${port}`,
        'content-type: application/json',
        `content-length: ${body.length}`,
        'x-feature-filter-code: ?0',
      ];
      requests.set(body, Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]));
    }
    return requests.get(body);
  };
  const open = () => {
    const lane = { answer: undefined };
    const take = (count, buffer) => {
      const { answer } = lane;
      if (!answer?.take(buffer.subarray(0, count))) return true;
      lane.answer = undefined;
      if (answer.headers.connection === 'close') lane.socket.destroy();
      else idle.push(lane);
      answer.done(answer);
      return true;
    };
    const onread = { buffer: Buffer.allocUnsafeSlow(1 << 16), callback: take };
    lane.socket = connect({ port, host: '127.0.0.1', noDelay: true, onread });
    lane.socket.on('error', () => {});
    lane.socket.on('close', () => {
      if (idle.includes(lane)) idle.splice(idle.indexOf(lane), 1);
      lane.answer?.failed(new Error('the connection was closed before the answer was whole'));
    });
    return lane;
  };
  const send = (body, whole = false) =>
    new Promise((done, failed) => {
      const lane = idle.pop() ?? open();
      lane.answer = new Answer(whole, done, failed);
      lane.socket.write(asBytes(body));
    });
  return { send, end: () => idle.forEach(({ socket }) => socket.destroy()) };
};

/** An answer that is being received. Its head must have its length. */
class Answer {
  #head = '';
  #left;
  #chunks;

  constructor(whole, done, failed) {
    Object.assign(this, { done, failed });
    if (whole) this.#chunks = [];
  }

  get body() {
    return Buffer.concat(this.#chunks ?? []);
  }

  /** Adds the next bytes; returns whether the answer is complete. */
  take(bytes) {
    if (this.#left === undefined) {
      const before = this.#head.length;
      this.#head += bytes.latin1Slice();
      const end = this.#head.indexOf('\r\n\r\n');
      if (end === -1) return false;
      this.#read(this.#head.slice(0, end).split('\r\n'));
      bytes = bytes.subarray(end + 4 - before);
    }
    this.#left -= bytes.length;
    this.#chunks?.push(Buffer.from(bytes));
    return this.#left === 0;
  }

  #read([first, ...lines]) {
    this.status = Number(first.split(' ')[1]);
    this.headers = Object.fromEntries(lines.map((line) => line.split(/: */)).map(([name, value]) => [name.toLowerCase(), value]));
    this.#left = Number(this.headers['content-length']);
    if (Number.isNaN(this.#left)) throw new Error('an answer does not say how long it is');
  }
}

/**
 * Sends `count` requests, each at its due time even if earlier ones are not answered. Latencies count from the due
 * time, so that a server that falls behind cannot hide it.
 */
export const paced = async (count, rate, one) => {
  const started = performance.now();
  const under = [];
  for (let index = 0; index < count; index++) {
    const due = started + (index * 1000) / rate;
    const wait = due - performance.now();
    if (wait > 0) await new Promise((done) => setTimeout(done, wait));
    // A timer may be early by less than a millisecond.
    under.push(one(index, Math.min(due, performance.now())));
  }
  await Promise.all(under);
};

/** The percentiles of some times. */
export const figures = (times) => {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: sorted.at(-1) };
};
