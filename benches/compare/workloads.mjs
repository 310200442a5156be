// Generates the workloads for comparisons of sluicegate with other programs.
//
//   node workloads.mjs FOLDER [--rows N] [--seed S] [NAME…]
//
// It writes NAME.jsonl (N events, one per line) and NAME.js (the transformation) for each name, or
// for all of them. The same rows and seed give the same bytes. The events are typical for such
// programs, and so are the transformations: they assign a field, join two strings, delete a key,
// change a type.

import { closeSync, copyFileSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import {
  generate as generateTruths,
  makeRandom,
  writeLines,
} from '../../examples/warehouse-actions/generate.mjs';

const START = Date.UTC(2024, 4, 13, 9, 30, 0);
const FIRST_NAMES = ['Alice', 'Ben', 'Clara', 'David', 'Emma', 'Frank', 'Grace', 'Henry', 'Iris'];
const LAST_NAMES = ['Adams', 'Brown', 'Clark', 'Davies', 'Evans', 'Foster', 'Green', 'Hughes'];
const PLANS = ['free', 'starter', 'team', 'business'];
const CITIES = ['Berlin', 'Lisbon', 'Austin', 'Leeds', 'Toronto', 'Osaka', 'Nairobi', 'Lima'];
const COLOURS = ['black', 'white', 'navy', 'olive', 'coral', 'slate'];
const CATEGORIES = ['Shoes', 'Jackets', 'Backpacks', 'Tents', 'Lamps', 'Bottles', 'Gloves'];
const AGENT =
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) ' +
  'Chrome/124.0.0.0 Safari/537.36';

const WORKLOADS = {
  // A short identify event, 0.5 KB: the cost per event, almost independent of the event's size.
  small: {
    events: (random, rows) => events(random, rows, smallEvent),
    transformation: `export function transformEvent(event) {
  const { traits } = event;
  traits.name = traits.firstName + ' ' + traits.lastName;
  traits.age = Number(traits.age);
  delete event.context.ip;
  return event;
}
`,
  },

  // The unchanged warehouse-actions example, 2 KB: two texts to parse per event, most events dropped.
  truths: {
    lines: (seed, rows) => generateTruths({ rows, seed }),
    copyOf: new URL('../../examples/warehouse-actions/transform.js', import.meta.url),
  },

  // An order of 40 products, 7 KB, almost unchanged by the code: the cost per byte.
  wide: {
    events: (random, rows) => events(random, rows, wideEvent),
    transformation: `export function transformEvent(event) {
  const { traits } = event.context;
  traits.name = traits.firstName + ' ' + traits.lastName;
  traits.loyaltyPoints = Number(traits.loyaltyPoints);
  delete traits.phone;
  return event;
}
`,
  },

  // Text outside Latin-1, 0.7 KB: three bytes per character in UTF-8, two in V8.
  cjk: {
    events: (random, rows) => events(random, rows, cjkEvent),
    transformation: `export function transformEvent(event) {
  const { traits } = event;
  traits.name = traits.familyName + ' ' + traits.givenName;
  traits.age = String(traits.age);
  delete traits.note;
  return event;
}
`,
  },

  // The wide events, nine in ten of them dropped: a dropped event needs no output.
  filter: {
    events: (random, rows) => events(random, rows, wideEvent),
    transformation: `export function transformEvent(event) {
  const { traits } = event.context;
  if (traits.plan !== 'enterprise') return null;
  traits.name = traits.firstName + ' ' + traits.lastName;
  return event;
}
`,
  },
};

// The same events as other JSON writers print them: NAME-python and NAME-go. They may cost at most 1.5 times the CPU of
// NAME.
for (const name of ['small', 'wide', 'cjk']) {
  const { events: plain, transformation } = WORKLOADS[name];
  const spelled = (spell) => ({
    transformation,
    *events(random, rows) {
      for (const line of plain(random, rows)) yield spell(JSON.parse(line));
    },
  });
  WORKLOADS[`${name}-python`] = spelled(asPython);
  WORKLOADS[`${name}-go`] = spelled(asGo);
}

function* events(random, rows, make) {
  for (let i = 0; i < rows; i += 1) yield JSON.stringify(make(random, i));
}

/** Prints JSON like Python's `json.dumps`: a blank after each separator, and only ASCII. */
function asPython(value) {
  if (Array.isArray(value)) return `[${value.map(asPython).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return escaped(JSON.stringify(value), /[^\x20-\x7e]/g);
  const pairs = Object.entries(value);
  return `{${pairs.map(([key, held]) => `${asPython(key)}: ${asPython(held)}`).join(', ')}}`;
}

/** Prints JSON like Go's `json.Marshal`, which escapes `<`, `>` and `&`. Each name gets a `&`. */
function asGo(event) {
  const text = JSON.stringify(event, (key, value) => (/[nN]ame$/.test(key) ? `${value} & Co.` : value));
  return escaped(text, /[<>&\u2028\u2029]/g);
}

function escaped(text, which) {
  return text.replace(which, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function smallEvent(random, i) {
  const firstName = random.pick(FIRST_NAMES);
  const lastName = random.pick(LAST_NAMES);
  return {
    type: 'identify',
    messageId: random.uuid(),
    userId: `user-${100000 + i}`,
    channel: 'web',
    context: {
      ip: ip(random),
      library: { name: 'web-sdk', version: '3.2.1' },
      locale: 'en-GB',
      page: { path: '/signup', title: 'Join us' },
    },
    traits: {
      firstName,
      lastName,
      email: `${firstName}.${lastName}.${i}@example.com`.toLowerCase(),
      age: String(random.between(18, 80)),
      plan: random.pick(PLANS),
      city: random.pick(CITIES),
    },
    integrations: { All: true },
    originalTimestamp: time(i),
    sentAt: time(i, 420),
  };
}

function wideEvent(random, i) {
  const firstName = random.pick(FIRST_NAMES);
  const lastName = random.pick(LAST_NAMES);
  const products = [];
  for (let position = 1; position <= 40; position += 1) products.push(product(random, position));
  return {
    type: 'track',
    event: 'Order Completed',
    messageId: random.uuid(),
    anonymousId: random.uuid(),
    userId: `user-${100000 + i}`,
    channel: 'web',
    context: {
      app: { name: 'Outfitters', version: '5.14.0', namespace: 'com.example.outfitters' },
      campaign: { name: 'spring-sale', source: 'newsletter', medium: 'email', content: 'hero' },
      device: { type: 'desktop', manufacturer: 'Apple', model: 'MacBook Pro' },
      ip: ip(random),
      library: { name: 'web-sdk', version: '3.2.1' },
      locale: 'en-GB',
      page: {
        path: '/checkout/done',
        referrer: 'https://shop.example.com/checkout/payment',
        title: 'Thank you | Outfitters',
        url: `https://shop.example.com/checkout/done?order=${i}`,
      },
      screen: { density: 2, height: 1117, width: 1728, innerHeight: 1009, innerWidth: 1728 },
      sessionId: 1715000000 + i,
      timezone: 'Europe/London',
      traits: {
        firstName,
        lastName,
        email: `${firstName}.${lastName}.${i}@example.com`.toLowerCase(),
        phone: `+44-20-7946-0${random.between(100, 999)}`,
        // One in ten passes the filter.
        plan: random.chance(0.1) ? 'enterprise' : random.pick(PLANS),
        loyaltyPoints: String(random.between(0, 9000)),
      },
      userAgent: AGENT,
    },
    properties: {
      order_id: `order-${500000 + i}`,
      total: random.between(1000, 900000) / 100,
      tax: random.between(100, 9000) / 100,
      shipping: 4.95,
      currency: 'GBP',
      coupon: null,
      products,
    },
    integrations: { All: true },
    originalTimestamp: time(i),
    sentAt: time(i, 420),
  };
}

function product(random, position) {
  const colour = random.pick(COLOURS);
  const category = random.pick(CATEGORIES);
  return {
    product_id: random.hex(8),
    sku: `S-${random.between(10000, 99999)}`,
    name: `${category} ${colour}`,
    category,
    variant: colour,
    price: random.between(199, 49999) / 100,
    quantity: random.between(1, 4),
    position,
  };
}

const FAMILY_NAMES = ['王', '李', '佐藤', '鈴木', '김', '박', '陈', '高橋'];
const GIVEN_NAMES = ['小明', '美玲', '太郎', 'さくら', '민준', '서연', '志强', '花子'];
const CJK_CITIES = ['東京都渋谷区', '上海市浦东新区', '서울특별시 강남구', '大阪市北区', '深圳市南山区'];
const NOTES = [
  'お問い合わせありがとうございます。担当者よりご連絡いたします。',
  '请在工作日联系我,谢谢。最近搬家了,地址已经更新。',
  '배송 전에 연락 부탁드립니다. 감사합니다 🙏',
];

function cjkEvent(random, i) {
  return {
    type: 'identify',
    messageId: random.uuid(),
    userId: `用户-${100000 + i}`,
    channel: 'mobile',
    context: {
      device: { type: 'ios', name: '花子のiPhone' },
      library: { name: 'ios-sdk', version: '1.9.0' },
      locale: 'ja-JP',
    },
    traits: {
      familyName: random.pick(FAMILY_NAMES),
      givenName: random.pick(GIVEN_NAMES),
      email: `user.${i}@example.com`,
      age: random.between(18, 80),
      address: `${random.pick(CJK_CITIES)}${random.between(1, 9)}丁目${random.between(1, 30)}番地`,
      company: `株式会社${random.pick(FAMILY_NAMES)}商事 ${random.pick(CJK_CITIES)}支店`,
      note: random.pick(NOTES),
      tags: ['お得意様', '新规客户', '모바일', '定期購入'],
    },
    originalTimestamp: time(i),
    sentAt: time(i, 420),
  };
}

function ip(random) {
  return `203.0.113.${random.between(1, 254)}`;
}

function time(i, delay = 0) {
  return new Date(START + i * 53 + delay).toISOString();
}

function write(folder, name, { rows, seed }) {
  const workload = WORKLOADS[name];
  const lines = workload.lines?.(seed, rows) ?? workload.events(makeRandom(seed), rows);
  const fd = openSync(join(folder, `${name}.jsonl`), 'w');
  writeLines(fd, lines);
  closeSync(fd);
  const code = join(folder, `${name}.js`);
  if (workload.copyOf) copyFileSync(workload.copyOf, code);
  else writeFileSync(code, workload.transformation);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rows: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '1' },
  },
});
const [folder, ...names] = positionals;
const unknown = names.filter((name) => !Object.hasOwn(WORKLOADS, name));
if (!folder || unknown.length > 0) {
  if (unknown.length > 0) console.error(`unknown workload: ${unknown.join(', ')}`);
  console.error('usage: node workloads.mjs FOLDER [--rows N] [--seed S] [NAME…]');
  console.error(`names: ${Object.keys(WORKLOADS).join(', ')}`);
  process.exit(2);
}
mkdirSync(folder, { recursive: true });
for (const name of names.length > 0 ? names : Object.keys(WORKLOADS)) {
  write(folder, name, { rows: Number(values.rows), seed: Number(values.seed) });
}
