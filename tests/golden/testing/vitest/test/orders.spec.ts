import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, expect, expectTypeOf, it, suite, test, vi, type Mock } from 'vitest';
import { transformEvent, Order } from '../src/orders';
import { notify, slugify } from '../src/lib/text';
import fixtures from '../src/fixtures.json' with { type: 'json' };
import many from '../src/many.jsonl' with { type: 'jsonl' };

const order = (total: number): Order => ({ id: 'o-1', total });

describe('transformEvent', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.setSystemTime(new Date('2024-02-29T12:00:00Z'));
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  it('adds a currency', () => {
    const out = transformEvent(fixtures.order, () => ({}));
    expect(out).toMatchObject({ type: 'track', properties: { currency: 'EUR', at: '2024-02-29T12:00:00.000Z' } });
    expect(out.properties).toEqual(expect.objectContaining({ id: expect.any(String), total: expect.closeTo(12.5) }));
  });

  it('drops other events', async () => {
    await expect(Promise.resolve(transformEvent({ type: 'page' }, null))).resolves.toBeNull();
  });

  it('refuses negative totals', () => {
    expect(() => transformEvent({ type: 'track', event: 'x', properties: order(-1) }, null)).toThrow('negative total');
    expect(() => transformEvent({ type: 'track', event: 'x', properties: order(-1) }, null)).toThrowError(RangeError);
    expect(() => transformEvent({ type: 'track', event: 'x', properties: order(-1) }, null))
      .toThrowErrorMatchingInlineSnapshot(`[RangeError: negative total: -1]`);
  });

  it('the same through the engine', () => {
    const verdict = transform(fixtures.order);
    expect(verdict.verdict).toBe('ok');
    expect(verdict.events[0].properties.at).toBe('2024-02-29T12:00:00.000Z');
    expect(verdict).toEmit(expect.objectContaining({ type: 'track' }));
  });

  it('logs the order', () => {
    const spy = vi.spyOn(globalThis, 'log').mockImplementation(() => {});
    transformEvent(fixtures.order, null);
    expect(spy).toHaveBeenCalledWith('order', 'o-1');
    expect(spy).toHaveBeenCalledTimes(1);
  });
});

describe.each([
  { text: 'A B', slug: 'a-b' },
  { text: 'One', slug: 'one' },
])('slugify $text', ({ text, slug }) => {
  test(`is ${slug}`, () => { expect(slugify(text)).toBe(slug); });
});

test.each`
  a    | b    | sum
  ${1} | ${2} | ${3}
  ${2} | ${2} | ${4}
`('$a + $b = $sum', ({ a, b, sum }) => { expect(a + b).toBe(sum); });

test.each([[1, 1, 2], [1, 2, 3]])('add(%i, %i) -> %i', (a, b, c) => { expect(a + b).toBe(c); });
test.for([[1, 2]])('for %d', ([a, b], { expect }) => { expect(a).toBeLessThan(b); });

test('mocks', async () => {
  const send: Mock = vi.fn().mockResolvedValueOnce(1).mockRejectedValueOnce(new Error('down')).mockImplementation(async (m: string) => m.length);
  await expect(notify(send, 'a')).resolves.toBe(2);
  await expect(notify(send, 'b')).rejects.toThrow(/down/);
  expect(await notify(send, 'abc')).toBe(4);
  expect(send).toHaveBeenCalledTimes(3);
  expect(send).toHaveBeenNthCalledWith(2, 'b');
  expect(send).toHaveBeenLastCalledWith('abc');
  expect(send.mock.calls).toEqual([['a'], ['b'], ['abc']]);
  expect(send.mock.results[0].type).toBe('return');
  vi.mocked(send).mockClear();
  expect(send).not.toHaveBeenCalled();
});

test('timers', () => {
  vi.useFakeTimers();
  const fn = vi.fn();
  setTimeout(fn, 1000);
  vi.advanceTimersByTime(999);
  expect(fn).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(fn).toHaveBeenCalledOnce();
  vi.useRealTimers();
});

test.todo('write this');
test.skip('skipped', () => { throw new Error('no'); });
test.skipIf(true)('skipped too', () => { throw new Error('no'); });
test.runIf(true)('run', () => {});
test.concurrent('concurrent', async () => { await Promise.resolve(); });
test.fails('fails', () => { expect(1).toBe(2); });
test('timeout argument', () => {}, 1000);
test('options', { timeout: 500, retry: 2 }, () => {});
test('soft', () => { expect.soft(1).toBe(1); expect.assertions(1); });
test('has', () => { expect.hasAssertions(); expect(1, 'a message').toBe(1); });
suite('a suite', () => { it('one of', () => { expect(2).toBeOneOf([1, 2]); expect(4).toSatisfy((n) => n % 2 === 0); }); });
test('inline', () => {
  expect({ b: [1, 'x'], a: new Date(0) }).toMatchInlineSnapshot(`
    {
      "a": 1970-01-01T00:00:00.000Z,
      "b": [
        1,
        "x",
      ],
    }
  `);
  expect('hi').toMatchInlineSnapshot(`"hi"`);
});
const withUser = test.extend<{ user: { name: string }; n: number }>({ user: async ({}, use) => { await use({ name: 'Ada' }); }, n: 3 });
withUser('fixture', ({ user, n }) => { expect(user.name).toBe('Ada'); expect(n).toBe(3); });
expect.extend({ toBeEven(received: number) { return { pass: received % 2 === 0, message: () => `${received} is not even` }; } });
test('extend', () => { (expect(2) as any).toBeEven(); (expect(3) as any).not.toBeEven(); expect({ n: 2 }).toEqual({ n: (expect as any).toBeEven() }); });
test('assert', () => { assert(true); assert.equal(1, 1); assert.deepEqual({ a: 1 }, { a: 1 }); assert.isTrue(true); expectTypeOf(1).toBeNumber(); });
test('random', () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  expect(Math.random()).toBe(0.5);
  vi.restoreAllMocks();
  expect(Math.random()).not.toBe(0.5);
  vi.spyOn(Date, 'now').mockReturnValue(5);
  expect(Date.now()).toBe(5);
  vi.restoreAllMocks();
  vi.stubGlobal('answer', 42);
  expect((globalThis as any).answer).toBe(42);
  vi.unstubAllGlobals();
  expect(many).toHaveLength(2);
});
test('done callback', (done: any) => { Promise.resolve().then(() => done()); });
test('context', ({ task, expect }) => { expect(task.name).toBe('context'); });
test('console', () => { const spy = vi.spyOn(console, 'log').mockImplementation(() => undefined); console.log('x'); expect(spy.mock.lastCall).toEqual(['x']); spy.mockRestore(); });
beforeAll(() => {}); afterAll(() => {});
