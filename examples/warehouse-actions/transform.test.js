// Tests each rule of transform.js separately, so a failed test names the field that is wrong.

import { compare_truths, rebuild_object } from 'warehouseActionsUtils';

const pairs = (row) => JSON.stringify(Object.entries(row));

/** A row of the sync, as the warehouse sends it. */
const row = (now, before, more = {}) => ({
  type: 'identify',
  messageId: 'm-1',
  userId: 'acct-1',
  integrations: { All: false, HubSpot: true },
  context: { externalId: [{ type: 'HubSpot-companies', id: 'acme.example.com' }] },
  traits: { new_truth: pairs(now), old_truth: before === null ? null : pairs(before), ...more },
});

const acme = { group_id: 'acct-1', name: 'Acme', plan: 'team' };

describe('a row that says nothing new', () => {
  test('is dropped', () => {
    expect(transform(row(acme, acme))).toBeDropped();
  });

  test('is dropped when a column was only emptied', () => {
    expect(transform(row({ ...acme, plan: '' }, acme))).toBeDropped();
  });

  test('is dropped when it has no new truth', () => {
    expect(transform({ type: 'identify', traits: { new_truth: null, old_truth: pairs(acme) } })).toBeDropped();
  });
});

describe('a row that has changed', () => {
  test('goes out as a group call', () => {
    expect(transform(row({ ...acme, plan: 'business' }, acme))).toEmit({
      type: 'group',
      userId: 'acct-1',
      groupId: 'acct-1',
      traits: { group_id: 'acct-1', name: 'Acme', plan: 'business' },
      integrations: { All: false, HubSpot: true },
      context: { externalId: [{ type: 'HubSpot-companies', id: 'acme.example.com' }] },
    });
  });

  test('goes out at its first sync', () => {
    const { events } = transform(row(acme, null));
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({ type: 'group', groupId: 'acct-1', traits: acme });
  });

  test('loses its messageId, which was the identify call\'s', () => {
    expect(transform(row(acme, null)).events[0]).not.toHaveProperty('messageId');
  });

  test.each([
    ['a number that became text', { seats: 12 }, { seats: '12' }],
    ['a column that is new', {}, { csm: 'ana@example.com' }],
  ])('goes out for %s', (_what, before, now) => {
    expect(transform(row({ ...acme, ...now }, { ...acme, ...before })).verdict).toBe('ok');
  });
});

describe('a row that is known to Salesforce', () => {
  test('goes there too, under its own id', () => {
    const [event] = transform(row(acme, null, { sfdc_id: '001A' })).events;
    expect(event.context.externalId).toEqual([
      { type: 'HubSpot-companies', id: 'acme.example.com' },
      { type: 'Salesforce-Account', id: '001A' },
    ]);
    expect(event.integrations).toEqual({ All: true, HubSpot: true, Salesforce: true });
  });

  test('needs neither context nor external ids', () => {
    const { context, ...bare } = row(acme, null, { sfdc_id: '001A' });
    const externalId = [{ type: 'Salesforce-Account', id: '001A' }];
    expect(transform(bare).events[0].context).toEqual({ externalId });
    expect(transform({ ...bare, context: {} }).events[0].context).toEqual({ externalId });
  });

  test.each([[null], [undefined], ['']])('is one with an id, not with %s', (sfdc_id) => {
    const [event] = transform(row(acme, null, { sfdc_id })).events;
    expect(event.integrations).toEqual({ All: false, HubSpot: true });
    expect(event.context.externalId).toHaveLength(1);
  });
});

describe('pairs that were spoilt on their way', () => {
  test('fail the event, with the reason', () => {
    const verdict = transform({ type: 'identify', traits: { new_truth: '[["group_id","a"],["na', old_truth: null } });
    expect(verdict).toFailWith({ kind: 'exception', name: 'SyntaxError', message: /^rebuild_object: / });
  });
});

describe('the shipped library', () => {
  test('leaves empty columns out', () => {
    expect(rebuild_object('[["a",1],["b",null],["c",""],["d",0],["e",false],["a",2]]')).toEqual({ a: 2 });
  });

  test.each([[null], [undefined], [''], ['null'], ['[]']])('makes nothing of %s', (text) => {
    expect(rebuild_object(text)).toEqual({});
  });

  test('takes every name for data', () => {
    const truth = rebuild_object('[["__proto__",1],["toString",2]]');
    expect(Object.entries(truth)).toEqual([['__proto__', 1], ['toString', 2]]);
  });

  const cycle = {};
  cycle.self = cycle;
  test.each([
    [5, 'expected the pairs as JSON text, got number 5'],
    [cycle, 'expected the pairs as JSON text, got object'],
    ['{"a":1}', 'expected an array of [key, value] pairs, got object {"a":1}'],
    ['[1]', 'element 0 is not a [key, value] pair, but number 1'],
    ['[["a",1],null]', 'element 1 is not a [key, value] pair, but null'],
    [`["${'x'.repeat(100)}"]`, `but string ${'x'.repeat(60)}…`],
  ])('says what is wrong with %j', (text, message) => {
    expect(() => rebuild_object(text)).toThrow(message);
  });

  test('says which text is none', () => {
    expect(() => rebuild_object('[')).toThrow(/^rebuild_object: /);
  });

  test('counts what the old truth lacks, and not what the new one lacks', () => {
    expect(compare_truths({ a: 1 }, {})).toBe(true);
    expect(compare_truths({ a: 1 }, { a: 1, b: 2 })).toBe(false);
    expect(compare_truths(undefined, { a: 1 })).toBe(false);
    expect(compare_truths({ a: 1 }, null)).toBe(true);
  });
});
