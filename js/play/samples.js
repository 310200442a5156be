// Events to start from, one of each kind that a source or a warehouse sends, and the code of an empty project.

const common = (type, id) => ({
  type,
  messageId: `b7a4f0e2-0c1d-4a53-9d0e-00000000000${id}`,
  anonymousId: '7c5e9d1a-4a3f-4d4e-8f59-2a6b1c0d9e88',
  userId: 'u-1001',
});
const ends = { originalTimestamp: '2026-03-01T09:30:00.000Z', sentAt: '2026-03-01T09:30:01.250Z' };
const web = { context: { ip: '203.0.113.7', locale: 'en-GB', library: { name: 'web', version: '3.2.0' } } };

export const SAMPLES = {
  identify: {
    ...common('identify', 1),
    traits: { first: 'Ada', last: 'Lovelace', email: 'ada@example.com', plan: 'team', age: 36 }, ...web, ...ends,
  },
  track: {
    ...common('track', 2),
    event: 'Order Completed',
    properties: {
      order_id: 9876, currency: 'EUR', revenue: 59.8,
      products: [
        { sku: 'tea-01', name: 'Green tea', price: 12.4, quantity: 2 },
        { sku: 'pot-07', name: 'Teapot', price: 35, quantity: 1 },
      ],
    },
    ...web, ...ends,
  },
  page: {
    ...common('page', 3),
    name: 'Pricing',
    properties: { path: '/pricing', title: 'Pricing', referrer: '', search: '?utm_source=news&utm_medium=mail' }, ...web, ...ends,
  },
  screen: { ...common('screen', 4), name: 'Settings', properties: { tab: 'billing' }, ...ends },
  group: {
    ...common('group', 5),
    groupId: 'g-77',
    traits: { name: 'Analytical Engines Ltd', employees: 12, industry: 'computing' }, ...ends,
  },
  alias: { ...common('alias', 6), previousId: 'u-0999', ...ends },
  record: {
    type: 'record', action: 'insert', recordId: '42',
    identifiers: { email: 'ada@example.com' },
    fields: { FirstName: 'Ada', LastName: 'Lovelace', Account_Tier__c: 'gold', Lifetime_Value__c: 1234.5 },
    context: { sources: { job_id: 'warehouse-sync', version: 'v1.0.0' } },
    channel: 'sources',
  },
};

export const FIRST_FILE = 'transform.js';
export const FIRST_CODE = `// Each event comes through here. Return it to let it out, null to drop it.
export function transformEvent(event, metadata) {
  if (event.type !== 'identify') return event;

  const { first, last, plan } = event.traits;
  if (plan === 'free') return null;

  event.traits.name = \`\${first} \${last}\`;
  delete event.traits.age;
  log('named', event.traits.name);
  return event;
}
`;

export const FIRST_TYPED = `export function transformEvent(event: Record<string, any>, metadata: (event: object) => object) {
  return event;
}
`;

export const FIRST_LIBRARY = `export const slug = (text) => text.trim().toLowerCase().replaceAll(/\\s+/g, '-');
`;
