import { describe, expect, test } from 'vitest';
import { round } from 'money';

describe('orders', () => {
  const order = { type: 'track', event: 'Ordered', properties: { price: 2.5, count: 3 } };

  test('have a total, and the name of their source', () => {
    const verdict = transform(order, { metadata: { sourceName: 'shop' } });
    expect(verdict).toEmit({ ...order, properties: { price: 2.5, count: 3, total: 7.5, source: 'shop' } });
  });

  test('are all that goes on', () => {
    expect(transform({ type: 'page', name: 'Home' })).toBeDropped();
  });
});

test.each([[1.005, 1], [2.5, 2.5], [0.125, 0.13]])('%d is rounded to %d', (amount, rounded) => {
  expect(round(amount)).toBe(rounded);
});
