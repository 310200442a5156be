import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest, test } from '@jest/globals';
import { hooks, total, transformEvent, type Item, type Order } from './orders';
import orderJson from '../fixtures/order.json' with { type: 'json' };

const order = orderJson as unknown as Order;
const metadata = jest.fn(() => ({ sourceId: 'web' }));

beforeAll(() => { jest.useFakeTimers({ now: new Date('2026-03-04T05:06:07Z') }); });
afterAll(() => { jest.useRealTimers(); });
afterEach(() => { jest.clearAllMocks(); jest.restoreAllMocks(); });

describe('transformEvent', () => {
  let event: Order;
  beforeEach(() => { event = JSON.parse(JSON.stringify(order)) as Order; });

  test('adds the total', async () => {
    const result = await transformEvent(event, () => ({ sourceId: 'web' }));
    expect(result).toMatchObject({ source: 'web', properties: { total: 24 } });
    expect(result).toMatchSnapshot({ messageId: expect.any(String) } as any);
  });
  test('drops others', () => {
    event.event = 'Other';
    return expect(transformEvent(event, metadata)).resolves.toBeNull();
  });
  test('fails without items', async () => {
    expect.assertions(2);
    // @ts-ignore
    event.properties = {};
    try { await transformEvent(event, metadata); } catch (error) { expect((error as Error).message).toMatch('no items'); }
    await expect(transformEvent(event, metadata)).rejects.toBeInstanceOf(TypeError);
  });
  it('logs', async () => {
    const audit = jest.spyOn(hooks, 'audit').mockImplementation(() => undefined);
    await transformEvent(event, metadata);
    await transformEvent({ ...event, properties: { items: [] } }, metadata);
    expect(audit).toHaveBeenCalledTimes(2);
    expect(audit).toHaveBeenNthCalledWith(1, 'order of 24');
    expect(audit).toHaveBeenNthCalledWith(2, 'order of 0');
    expect(audit.mock.calls).toEqual([['order of 24'], ['order of 0']]);
    audit.mockRestore();
    expect(jest.isMockFunction(hooks.audit)).toBe(false);
  });
});

describe.each([['EUR', 1], ['USD', 0.9]] as [string, number][])('in %s', (currency, rate) => {
  test(`is ${rate} euros`, async () => {
    const out = await transformEvent({ ...order, properties: { items: [{ sku: 'x', price: 1, quantity: 1 }], currency } }, metadata as any);
    expect(out!.properties.total).toBe(rate);
  });
});

describe('total', () => {
  it.each`
    price | n    | expected
    ${1}  | ${2} | ${2}
    ${3}  | ${3} | ${9}
  `('$price * $n is $expected', ({ price, n, expected }: any) => {
    expect(total([{ sku: 's', price, quantity: n }])).toBe(expected);
  });
  test.each([{ a: 1, b: 2 }])('%j', ({ a, b }) => { expect(a + b).toBe(3); });
  test.each([1, 2, 3])('%p is positive', (n) => { expect(n).toBeGreaterThan(0); });
  xit('not yet', () => {});
  test.todo('rounding');
  test.failing('wrong', () => { expect(total([])).toBe(1); });
  test.concurrent('at once', async () => { expect(total([] as Item[])).toBe(0); });
});

test('callbacks', (done) => {
  setTimeout(() => { try { expect(1).toBe(1); done(); } catch (error) { done(error as Error); } }, 500);
  jest.advanceTimersByTime(500);
});

test('timers', () => {
  const callback = jest.fn();
  const timer = setInterval(callback, 100);
  jest.advanceTimersByTime(350);
  expect(callback).toHaveBeenCalledTimes(3);
  clearInterval(timer);
  jest.runAllTimers();
  jest.runOnlyPendingTimers();
  expect(callback.mock.calls).toHaveLength(3);
});

test('mock answers', async () => {
  const mock = jest.fn<(n: number) => Promise<number>>().mockResolvedValueOnce(1).mockImplementationOnce(async (n) => n + 1).mockRejectedValue(new Error('no more'));
  expect(await mock(0)).toBe(1);
  expect(await mock(5)).toBe(6);
  await expect(mock(0)).rejects.toThrow('no more');
  expect(mock).toHaveBeenCalledWith(5);
  expect(mock.mock.invocationCallOrder).toHaveLength(3);
  mock.mockReset();
  expect(mock(1)).toBeUndefined();
});

test('replaces properties', () => {
  const config = { rate: 1 };
  jest.replaceProperty(config, 'rate', 2);
  expect(config.rate).toBe(2);
});

test('errors', () => {
  const fails = () => { throw new Error('bad things'); };
  expect(fails).toThrow();
  expect(fails).toThrow(Error);
  expect(fails).toThrow(/bad/);
  expect(fails).toThrowErrorMatchingSnapshot();
  expect(fails).toThrowErrorMatchingInlineSnapshot(`"bad things"`);
});
