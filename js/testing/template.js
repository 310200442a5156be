// A first test: one event of each kind that a pipeline carries. The first run of `sluicegate test` writes into this file
// what comes out; read it, correct it where it is not what you want, and keep the events that matter to you.

const samples = {
  identify: {
    type: 'identify', userId: 'user-1', messageId: 'm-1', originalTimestamp: '2024-03-04T06:00:00.000Z',
    context: { traits: { name: 'Ada', email: 'ada@example.com' } }, traits: { name: 'Ada', email: 'ada@example.com' },
  },
  track: {
    type: 'track', event: 'Order Completed', userId: 'user-1', messageId: 'm-2',
    originalTimestamp: '2024-03-04T06:00:00.000Z', context: {}, properties: { order_id: 'o-1', total: 29.9, currency: 'EUR' },
  },
  group: {
    type: 'group', userId: 'user-1', groupId: 'acct-1', messageId: 'm-3',
    originalTimestamp: '2024-03-04T06:00:00.000Z', context: {}, traits: { name: 'Acme', plan: 'team' },
  },
  insert: {
    type: 'record', action: 'insert', channel: 'sources', recordId: '1', messageId: 'm-4',
    fields: { name: 'Acme', plan: 'team' }, identifiers: { account_id: 'acct-1' }, context: {},
  },
  update: {
    type: 'record', action: 'update', channel: 'sources', recordId: '2', messageId: 'm-5',
    fields: { plan: 'business' }, identifiers: { account_id: 'acct-1' }, context: {},
  },
  delete: {
    type: 'record', action: 'delete', channel: 'sources', recordId: '3', messageId: 'm-6',
    identifiers: { account_id: 'acct-1' }, context: {},
  },
};

/** What is worth looking at in a verdict. */
const outcome = (event) => {
  const { verdict, events, kind, message } = transform(event);
  return { verdict, events, kind, message };
};

test('identify', () => {
  expect(outcome(samples.identify)).toMatchInlineSnapshot();
});

test('track', () => {
  expect(outcome(samples.track)).toMatchInlineSnapshot();
});

test('group', () => {
  expect(outcome(samples.group)).toMatchInlineSnapshot();
});

test('a record that is new', () => {
  expect(outcome(samples.insert)).toMatchInlineSnapshot();
});

test('a record that has changed', () => {
  expect(outcome(samples.update)).toMatchInlineSnapshot();
});

test('a record that is gone', () => {
  expect(outcome(samples.delete)).toMatchInlineSnapshot();
});
