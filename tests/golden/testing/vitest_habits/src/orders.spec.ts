import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, expectTypeOf, it, test, vi } from 'vitest';
import type { Mock } from 'vitest';
import { hooks, total, transformEvent, type Item, type Order } from './orders';
import order from '../fixtures/order.json' with { type: 'json' };

const metadata = vi.fn(() => ({ sourceId: 'web' }));
const clone = (): Order => structuredClone(order) as Order;

beforeAll(() => {
  vi.useFakeTimers();
  vi.setSystemTime(new Date('2026-03-04T05:06:07.000Z'));
});

afterAll(() => {
  vi.useRealTimers();
});

afterEach(() => {
  vi.restoreAllMocks();
  metadata.mockClear();
});

describe('transformEvent', () => {
  it('adds the total in euros', async () => {
    const result = await transformEvent(clone(), metadata);
    expect(result).toMatchObject({ properties: { total: 24, email: 'ada@example.com' }, source: 'web' });
    expect(result!.properties.seen).toBe('2026-03-04T05:06:07.000Z');
    expect(metadata).toHaveBeenCalledTimes(1);
    expect(metadata).toHaveBeenCalledWith(expect.objectContaining({ messageId: 'm-1' }));
  });

  it('drops what is no order', async () => {
    await expect(transformEvent({ ...clone(), event: 'Page Viewed' }, metadata)).resolves.toBeNull();
    expect(metadata).not.toHaveBeenCalled();
  });

  it('rejects an order without items', async () => {
    const broken = clone();
    // @ts-expect-error it is wrong on purpose
    delete broken.properties.items;
    await expect(transformEvent(broken, metadata)).rejects.toThrow(TypeError);
    await expect(transformEvent(broken, metadata)).rejects.toThrowError(/no items in m-1/);
    await expect(() => transformEvent(broken, metadata)).rejects.toThrow('no items');
  });

  it('audits every order', async () => {
    const audit = vi.spyOn(hooks, 'audit').mockImplementation(() => {});
    await transformEvent(clone(), metadata);
    expect(audit).toHaveBeenCalledOnce();
    expect(audit.mock.calls[0]?.[0]).toContain('24');
    expect(audit.mock.lastCall).toEqual(['order of 24']);
    expect(audit).toHaveBeenLastCalledWith(expect.stringMatching(/^order of \d+$/));
  });

  it('takes a mocked clock', async () => {
    vi.spyOn(hooks, 'now').mockReturnValue(0).mockReturnValueOnce(86_400_000);
    const first = await transformEvent(clone(), metadata);
    const second = await transformEvent(clone(), metadata);
    expect([first?.properties.seen, second?.properties.seen]).toEqual(['1970-01-02T00:00:00.000Z', '1970-01-01T00:00:00.000Z']);
    expect(vi.isMockFunction(hooks.now)).toBe(true);
  });

  it('matches the snapshot', async () => {
    expect(await transformEvent(clone(), metadata)).toMatchSnapshot();
    expect(total(clone().properties.items)).toMatchInlineSnapshot(`24`);
    expect({ a: [1, 'x'] }).toMatchInlineSnapshot(`
      {
        "a": [
          1,
          "x",
        ],
      }
    `);
    await expect(JSON.stringify(await transformEvent(clone(), metadata), null, 2)).toMatchFileSnapshot('./__snapshots__/order.golden.json');
  });
});

describe('total', () => {
  it.each([
    [[], 0],
    [[{ sku: 'a', price: 2, quantity: 3 }], 6],
    [[{ sku: 'a', price: 0.1, quantity: 3 }, { sku: 'b', price: 1, quantity: 1 }], 1.3],
  ] as [Item[], number][])('of %j is %d', (items, expected) => {
    expect(total(items)).toBeCloseTo(expected);
  });

  test.each([
    { price: 1, quantity: 1, expected: 1 },
    { price: 2, quantity: 2, expected: 4 },
  ])('$price times $quantity is $expected', ({ price, quantity, expected }) => {
    expect(total([{ sku: 'x', price, quantity }])).toBe(expected);
  });

  test.each`
    price  | quantity | expected
    ${3}   | ${1}     | ${3}
    ${1.5} | ${4}     | ${6}
  `('$price × $quantity = $expected', ({ price, quantity, expected }) => {
    expect(total([{ sku: 'x', price, quantity }])).toEqual(expected);
  });

  it.for([[1, 2], [3, 4]])('is for %i and %i', ([price, quantity], { expect }) => {
    expect(total([{ sku: 'x', price: price!, quantity: quantity! }])).toBe(price! * quantity!);
  });
});

describe('order of hooks', () => {
  const seen: string[] = [];
  beforeEach(() => { seen.push('outer'); return () => { seen.push('cleanup'); }; });
  describe('nested', () => {
    beforeEach(async () => { await Promise.resolve(); seen.push('inner'); });
    afterEach(() => { seen.push('after inner'); });
    it('first', () => { expect(seen).toEqual(['outer', 'inner']); });
    it('second', () => { expect(seen).toEqual(['outer', 'inner', 'after inner', 'cleanup', 'outer', 'inner']); });
  });
});

describe.concurrent('concurrently', () => {
  it('one', async ({ expect }) => { await Promise.resolve(); expect(1).toBe(1); });
  it('two', async ({ expect }) => { expect(2).toBeGreaterThan(1); });
});

const withOrder = test.extend<{ fresh: Order; many: Order[] }>({
  fresh: async ({}, use) => { await use(clone()); },
  many: async ({ fresh }, use) => { await use([fresh, clone()]); },
});

withOrder('has fixtures of its own', ({ fresh, many }) => {
  expect(many).toHaveLength(2);
  expect(many[0]).toBe(fresh);
  expect(many[1]).toStrictEqual(fresh);
});

const cleaned: string[] = [];
const withTenant = test
  .extend('tenant', 'acme')
  .extend('user', async ({ tenant }, { onCleanup }) => {
    onCleanup(() => { cleaned.push(tenant); });
    return `${tenant}-1`;
  });

withTenant('has fixtures one by one', ({ tenant, user }) => {
  expect(user).toBe(`${tenant}-1`);
  expect(cleaned).toEqual([]);
});

test('takes fixtures down', () => { expect(cleaned).toEqual(['acme']); });

test('fake timers run', async () => {
  const done = vi.fn<(text: string) => void>();
  setTimeout(done, 1000, 'late');
  vi.advanceTimersByTime(999);
  expect(done).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1);
  expect(done).toHaveBeenCalledExactlyOnceWith('late');
  expect(vi.getTimerCount()).toBe(0);
});

test('soft expectations go on', () => {
  expect.soft(1 + 1).toBe(2);
  expect.soft('abc', 'a message').toContain('b');
  expect.assertions(2);
});

test('mocks answer in turn', async () => {
  const mock: Mock = vi.fn().mockResolvedValueOnce('a').mockRejectedValueOnce(new Error('b')).mockReturnValue('c');
  await expect(mock()).resolves.toBe('a');
  await expect(mock()).rejects.toThrow('b');
  expect(mock()).toBe('c');
  expect(mock.mock.results[2]).toEqual({ type: 'return', value: 'c' });
  expect(mock).toHaveBeenCalledTimes(3);
});

test('types', () => {
  expectTypeOf(total).toBeFunction();
  expectTypeOf(total).parameter(0).toEqualTypeOf<Item[]>();
  expectTypeOf(total([])).toEqualTypeOf<number>();
});

test('matchers', () => {
  expect('ok').toBeOneOf(['ok', 'fine']);
  expect(4).toSatisfy((n: number) => n % 2 === 0);
  expect([3, 1, 2]).toEqual(expect.arrayContaining([1, 2]));
  expect({ a: 1, b: undefined }).toEqual({ a: 1 });
  expect({ a: 1, b: undefined }).not.toStrictEqual({ a: 1 });
  expect(new Map([['a', 1]])).toEqual(new Map([['a', 1]]));
  expect(() => { throw new RangeError('far'); }).toThrowErrorMatchingInlineSnapshot(`[RangeError: far]`);
  expect({ deep: { list: [{ x: 1 }] } }).toHaveProperty('deep.list[0].x', 1);
  expect(null).toBeNullable;
  expect(undefined).toBeUndefined();
  expect(0.1 + 0.2).not.toBe(0.3);
  expect('text').toEqual(expect.any(String));
  expect({ id: 7 }).toEqual({ id: expect.anything() });
  expect([1, 2]).toContainEqual(1);
});

expect.extend({
  toBeEven(received: number) {
    const pass = received % 2 === 0;
    return { pass, message: () => `expected ${received} to ${pass ? 'not ' : ''}be even` };
  },
});
test('own matchers', () => {
  (expect(2) as any).toBeEven();
  expect(() => (expect(3) as any).toBeEven()).toThrow('expected 3 to be even');
});

test('options come second', { timeout: 1000, retry: 1 }, () => { expect(true).toBeTruthy(); });
test('or a timeout last', () => { expect(false).toBeFalsy(); }, 2000);
test.todo('discounts');
test.skip('later', () => { expect(1).toBe(2); });
test.skipIf(true)('never here', () => { expect(1).toBe(2); });
test.runIf(true)('here', () => { expect(1).toBe(1); });
test.fails('known to be broken', () => { expect(1).toBe(2); });
