// Generates the rows of a reverse-ETL sync, as a warehouse would send them.
//
//   node generate.mjs --rows 3000 --seed 7 > events.jsonl
//
// The same number of rows and the same seed always give the same bytes: the script uses neither the
// clock nor random numbers other than those from the seed.

import { realpathSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const FIRST_NAMES = [
  'Alice', 'Amara', 'Ben', 'Chloé', 'Daniel', 'Elif', 'Françoise', 'Grace', 'Hiroshi', 'Ingrid',
  'José', 'Kamala', 'Liam', 'Mia', 'Noah', 'Olga', 'Priya', 'Quentin', 'Rosa', 'Søren', 'Tom',
  'Uma', 'Víctor', 'Wei', 'Yara', 'Zofia',
];
const LAST_NAMES = [
  'Anderson', 'Becker', 'Castillo', 'Dubois', 'Evans', 'Fischer', 'García', 'Hansen', 'Ito',
  'Jensen', 'Kowalczyk', 'Larsson', 'Müller', 'Nguyen', 'Okafor', 'Patel', 'Rossi', 'Silva',
  'Tanaka', 'Walker', 'Yılmaz', 'Zhang',
];
// Names without Latin letters. The e-mail address of such a row is made from the row's number.
const FOREIGN_NAMES = ['山田 太郎', '李 小龙', 'Ольга Иванова', '김 민준', 'محمد علي', 'Ζωή Παππά'];
const COMPANY_STEMS = [
  'Acme', 'Blue Harbor', 'Cedar', 'Delta Peak', 'Evergreen', 'Fjord', 'Granite', 'Helio',
  'Iron Bridge', 'Juniper', 'Kestrel', 'Lumen', 'Maple', 'Northwind', 'Orchard', 'Pioneer',
];
const COMPANY_KINDS = ['Logistics', 'Foods', 'Analytics', 'Health', 'Energy', 'Media', 'Robotics'];
const COMPANY_FORMS = ['GmbH', 'Inc.', 'Ltd', 'S.A.', 'AB', 'B.V.'];
const INDUSTRIES = ['Software', 'Retail', 'Manufacturing', 'Healthcare', 'Finance', 'Education'];
const CITIES = [
  ['Berlin', 'DE'], ['São Paulo', 'BR'], ['Lyon', 'FR'], ['Austin', 'US'], ['Malmö', 'SE'],
  ['Kraków', 'PL'], ['Bengaluru', 'IN'], ['Osaka', 'JP'], ['Toronto', 'CA'], ['Leeds', 'GB'],
];
const PLANS = ['free', 'starter', 'team', 'business', 'enterprise'];
const STAGES = ['lead', 'trial', 'customer', 'renewal', 'churned'];

const START = Date.UTC(2024, 2, 4, 6, 0, 0);
const DAY = 24 * 60 * 60 * 1000;

/**
 * Returns a generator of random numbers in [0, 1) that depend only on the seed (mulberry32), with
 * helpers for the values of rows.
 * @param {number} seed
 */
export function makeRandom(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit) => Math.floor(next() * limit);
  return {
    next,
    below,
    between: (low, high) => low + below(high - low + 1),
    chance: (probability) => next() < probability,
    pick: (list) => list[below(list.length)],
    hex: (digits) => {
      let text = '';
      for (let i = 0; i < digits; i += 1) text += below(16).toString(16);
      return text;
    },
    uuid() {
      const version = `4${this.hex(3)}`;
      const variant = `${'89ab'[below(4)]}${this.hex(3)}`;
      return [this.hex(8), this.hex(4), version, variant, this.hex(12)].join('-');
    },
  };
}

/**
 * Yields the lines of a sync, without line feeds.
 * @param {{ rows: number, seed: number }} options
 * @returns {Generator<string>}
 */
export function* generate({ rows, seed }) {
  const random = makeRandom(seed);
  const sync = {
    job_id: `2Kx${random.hex(12)}/Syncher`,
    job_run_id: `co${random.hex(18)}`,
    task_id: 'ACCOUNTS_WITH_TRUTH',
    task_run_id: `co${random.hex(18)}`,
    batch_id: random.uuid(),
    version: 'v1.41.2',
  };
  const broken = brokenRows(rows);
  for (let i = 0; i < rows; i += 1) {
    const row = makeRow(random, i);
    const event = makeEvent(random, i, row, sync);
    if (broken.has(i)) event.traits.new_truth = broken.get(i)(event.traits.new_truth);
    yield writeEvent(event, rowId(random, i));
  }
}

/**
 * Returns three rows, spread over the sync, and a function for each that damages its pairs.
 * @param {number} rows
 * @returns {Map<number, (text: string) => string>}
 */
function brokenRows(rows) {
  return new Map([
    // Truncated to the width of a column.
    [Math.floor(rows * 0.25), (text) => text.slice(0, 96)],
    // An object instead of pairs.
    [Math.floor(rows * 0.5), (text) => JSON.stringify(Object.fromEntries(JSON.parse(text)))],
    // One level of brackets is missing.
    [Math.floor(rows * 0.75), (text) => JSON.stringify(JSON.parse(text).flat())],
  ]);
}

/**
 * Returns the old and the new version of a row, with columns in the warehouse's order.
 */
function makeRow(random, i) {
  const foreign = random.chance(0.04);
  const first = random.pick(FIRST_NAMES);
  const last = random.pick(LAST_NAMES);
  const owner = foreign ? random.pick(FOREIGN_NAMES) : `${first} ${last}`;
  const mailbox = foreign ? `owner.${i}` : plain(`${first}.${last}`);
  const stem = random.pick(COMPANY_STEMS);
  const kind = random.pick(COMPANY_KINDS);
  const domain = `${plain(stem)}-${plain(kind)}-${i}.example.com`;
  const [city, country] = random.pick(CITIES);
  const paying = random.chance(0.7);
  const created = START - random.between(30, 1500) * DAY - random.below(DAY);

  const now = {
    group_id: `acct-${String(100000 + i * 7)}`,
    name: `${stem} ${kind} ${random.pick(COMPANY_FORMS)}`,
    domain,
    owner_name: owner,
    owner_email: `${mailbox}@${random.chance(0.5) ? 'example.com' : domain}`,
    industry: random.pick(INDUSTRIES),
    employees: random.pick([0, 8, 25, 60, 140, 480, 2200]),
    city,
    country,
    phone: random.chance(0.2) ? '' : `+1-202-555-0${random.between(100, 199)}`,
    plan: paying ? random.pick(PLANS.slice(1)) : 'free',
    is_paying: paying,
    seats: random.between(0, 250),
    mrr: paying ? random.between(20, 4000) + random.pick([0, 0.5, 0.95]) : 0,
    stage: random.pick(STAGES),
    csm: random.chance(0.3) ? null : `${plain(random.pick(FIRST_NAMES))}@example.com`,
    health_score: random.between(0, 100),
    created_at: new Date(created).toISOString(),
    last_seen_at: new Date(START - random.below(20 * DAY)).toISOString(),
    renewal_at: random.chance(0.25) ? null : day(START + random.between(5, 360) * DAY),
  };

  const fate = random.next();
  if (fate < 0.05) return { now, before: null };
  if (fate < 0.65) return { now, before: { ...now } };
  const before = { ...now };
  if (fate < 0.68) {
    // Columns were only emptied since the last sync. Empty columns are left out, so this is no change.
    now.phone = '';
    now.renewal_at = null;
    before.phone = '+1-202-555-0100';
    before.renewal_at = day(START);
    return { now, before };
  }
  for (let n = random.between(1, 4); n > 0; n -= 1) random.pick(CHANGES)(random, before, now);
  return { now, before };
}

// Functions that change a row. Each leaves a non-empty value in `now`, so the row really differs.
const CHANGES = [
  (random, before, now) => {
    now.seats += random.between(1, 20);
  },
  (random, before, now) => {
    now.plan = random.pick(PLANS.filter((plan) => plan !== 'free' && plan !== before.plan));
    now.is_paying = true;
  },
  (random, before, now) => {
    now.last_seen_at = new Date(START + random.between(1, DAY)).toISOString();
  },
  (random, before, now) => {
    now.stage = random.pick(STAGES.filter((stage) => stage !== before.stage));
  },
  (random, before, now) => {
    // The column was empty before, so it is not among the old truth's keys.
    before.csm = null;
    now.csm = 'success@example.com';
  },
  (random, before, now) => {
    // The same digits with a different type are a change, too.
    before.seats = String(now.seats + 1);
    now.seats += 1;
  },
];

function makeEvent(random, i, { now, before }, sync) {
  const at = START + i * 37;
  const sent = new Date(at + 1500 + random.below(900)).toISOString();
  const traits = {
    group_id: now.group_id,
    new_truth: pairs(now),
    old_truth: before === null ? null : pairs(before),
  };
  // `sfdc_id` may be missing or null: depending on the query, a left join gives either.
  if (random.chance(0.45)) traits.sfdc_id = `001${random.hex(12).toUpperCase()}AAQ`;
  else if (random.chance(0.3)) traits.sfdc_id = null;
  // A query with a careless join returns a column twice. The later pair wins.
  if (random.chance(0.01)) traits.new_truth = pairs({ ...now }, [['stage', 'stale']]);

  const context = {
    sources: { ...sync, warehouse_row_id: 0 },
    mappedToDestination: true,
    library: { name: 'warehouse-sync', version: '2.14.0' },
  };
  if (random.chance(0.95)) {
    context.externalId = [
      { type: 'HubSpot-companies', id: now.domain, identifierType: 'domain' },
    ].slice(random.chance(0.15) ? 1 : 0);
  }

  return {
    type: 'identify',
    channel: 'sources',
    userId: now.group_id,
    messageId: random.uuid(),
    recordId: String(i + 1),
    context,
    integrations: { All: false, HubSpot: random.chance(0.8) },
    traits,
    originalTimestamp: new Date(at).toISOString(),
    sentAt: sent,
    timestamp: new Date(at).toISOString(),
  };
}

/**
 * Returns the row's number in the warehouse, as digits. Some tables use a hash of 64 bits. Beyond
 * 2^53 a JavaScript number would be rounded, so the result is a string.
 */
function rowId(random, i) {
  if (i % 60 !== 30) return String(7_000_000_000 + i);
  return String(2n ** 53n + 1n + (BigInt(random.below(2 ** 32)) << 30n) + BigInt(i) * 2n);
}

function writeEvent(event, id) {
  return JSON.stringify(event).replace('"warehouse_row_id":0', `"warehouse_row_id":${id}`);
}

function pairs(row, first = []) {
  return JSON.stringify([...first, ...Object.entries(row)]);
}

function plain(name) {
  const ascii = name.replaceAll('ı', 'i').replaceAll('ø', 'o').normalize('NFD');
  return ascii.replace(/\p{M}/gu, '').toLowerCase().replace(/[^a-z0-9.]+/g, '-');
}

function day(time) {
  return new Date(time).toISOString().slice(0, 10);
}

/**
 * Writes lines in large pieces, because one write per line would take most of the time.
 * @param {number} fd
 * @param {Iterable<string>} lines
 */
export function writeLines(fd, lines) {
  let pending = '';
  const flush = () => {
    let bytes = Buffer.from(pending);
    while (bytes.length > 0) bytes = bytes.subarray(writeSync(fd, bytes));
    pending = '';
  };
  for (const line of lines) {
    pending += `${line}\n`;
    if (pending.length > 1 << 18) flush();
  }
  flush();
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      rows: { type: 'string', default: '3000' },
      seed: { type: 'string', default: '7' },
    },
  });
  writeLines(1, generate({ rows: Number(values.rows), seed: Number(values.seed) }));
}
