import {
  afterEach,
  assert,
  beforeEach,
  describe,
  expect,
  it,
  onTestFinished,
  suite,
  test,
  vi,
  type MockInstance,
} from 'vitest';
import * as tax from './tax';
import { Kind, service, TaxService, transformEvent } from './tax.js';

describe('classes', () => {
  let spy: MockInstance;
  beforeEach(() => {
    spy = vi.spyOn(service, 'apply');
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });
  it('spies on methods and keeps them', () => {
    expect(transformEvent({ id: 1, amount: 10 })).toEqual({ id: 1, amount: 10, total: 12, kind: 'a' });
    expect(spy).toHaveBeenCalledWith(10);
    expect(spy).toHaveReturnedWith(12);
    expect(vi.mocked(service.apply).mock.calls.length).toBe(1);
  });
  it('mocks prototypes and getters', async () => {
    vi.spyOn(TaxService.prototype, 'remote').mockResolvedValue({ id: 'mocked' });
    vi.spyOn(service, 'current', 'get').mockReturnValue(0.5);
    await expect(service.remote('x')).resolves.toEqual({ id: 'mocked' });
    expect(service.current).toBe(0.5);
    expect(TaxService.make()).toBeInstanceOf(TaxService);
  });
  it('spies on console', () => {
    const log = vi.spyOn(console, 'log').mockImplementation(() => {});
    transformEvent({ id: 7, amount: 1 });
    expect(log).toHaveBeenCalledWith('seen', 7);
    expect(log.mock.calls).toMatchInlineSnapshot(`
      [
        [
          "seen",
          7,
        ],
      ]
    `);
  });
  it('enums', () => {
    expect(Object.values(Kind)).toStrictEqual(['a', 'b']);
    expect(tax.Kind.B).toBe('b');
  });
});

describe.each([
  { a: 1, b: 1, sum: 2 },
  { a: 1, b: 2, sum: 3 },
])('add($a, $b)', ({ a, b, sum }) => {
  test(`gives ${sum}`, () => {
    expect(a + b).toBe(sum);
  });
  test.skip('not', () => {});
});
test.each([
  ['a', 1],
  ['b', 2],
])('%s is %i (%#)', (name, n) => {
  expect(typeof name).toBe('string');
  expect(n).toBeTypeOf('number');
});
describe.skip('skipped', () => {
  it('x', () => {
    throw 1;
  });
});
describe.todo('to be written');
suite('suite', () => {
  it('in it', ({ task, expect: own, skip }) => {
    own(task.name).toBe('in it');
    own(typeof skip).toBe('function');
  });
});
test('throwing', () => {
  expect(() => transformEvent({ id: 2, bad: true })).toThrow('bad 2');
  expect(() => transformEvent({ id: 2, bad: true })).toThrowError(/^bad \d$/);
  expect(() => transformEvent({ id: 2, bad: true })).toThrow(expect.objectContaining({ message: 'bad 2' }));
});
test('asymmetric', () => {
  expect({ a: 0.1 + 0.2, b: 'xyz', c: [1, 2], d: { e: 1, f: 2 }, g: null }).toEqual({
    a: expect.closeTo(0.3, 5),
    b: expect.stringContaining('y'),
    c: expect.arrayContaining([2]),
    d: expect.objectContaining({ e: expect.any(Number) }),
    g: null,
  });
  expect(['a', 'b']).toEqual(expect.not.arrayContaining(['z']));
  expect(new Set([1, 2])).toEqual(new Set([2, 1]));
  expect([{ a: 1, b: 2 }, { a: 3 }]).toMatchObject([{ a: 1 }, { a: 3 }]);
  expect(10n).toBeGreaterThan(9n);
  expect('abc').toHaveLength(3);
  expect({}).not.toHaveProperty('x');
  expect(NaN).toBeNaN();
  expect(new Date(0)).toEqual(new Date(0));
  expect({ a: { b: [{ c: 1 }] } }).toHaveProperty(['a', 'b', 0, 'c'], 1);
});
test('clock', () => {
  vi.useFakeTimers({ toFake: ['Date', 'setTimeout'] }).setSystemTime('2026-01-01');
  onTestFinished(() => {
    vi.useRealTimers();
  });
  expect(new Date().getFullYear()).toBe(2026);
  expect(vi.getMockedSystemTime()?.toISOString()).toBe('2026-01-01T00:00:00.000Z');
  expect(vi.isFakeTimers()).toBe(true);
});
test('random', () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.25);
  expect(Math.random()).toBe(0.25);
  vi.restoreAllMocks();
});
test('uuid', () => {
  vi.stubGlobal('answer', 42);
  expect((globalThis as any).answer).toBe(42);
  vi.unstubAllGlobals();
  expect((globalThis as any).answer).toBeUndefined();
});
test('assert', () => {
  assert(true);
  assert.equal(1, 1);
  assert.deepEqual({ a: 1 }, { a: 1 });
  assert.throws(() => {
    throw new Error('x');
  }, /x/);
});
test('promises', async () => {
  const slow = vi.fn(async (n: number) => n * 2);
  const results = await Promise.all([1, 2, 3].map(slow));
  expect(results).toEqual([2, 4, 6]);
  expect(slow).toHaveBeenCalledTimes(3);
  expect(slow.mock.settledResults[0]).toEqual({ type: 'fulfilled', value: 2 });
  await expect(Promise.reject(new Error('no'))).rejects.toThrow('no');
  await expect(async () => {
    throw new TypeError('t');
  }).rejects.toBeInstanceOf(TypeError);
});
test.concurrent.each([1, 2])('concurrent %i', async (n) => {
  expect(n).toBeLessThan(3);
});
test.skipIf(false).each([1])('conditional %i', (n) => {
  expect(n).toBe(1);
});
test.sequential('sequential', () => {});
describe.shuffle('shuffled', () => {
  it('a', () => {});
  it('b', () => {});
});
describe.sequential('one by one', () => {
  it('a', () => {});
});
test('retries', { retry: 2 }, ({ task }) => {
  expect(task.name).toBe('retries');
});
test.for([{ n: 1 }, { n: 2 }])('for $n', ({ n }) => {
  expect(n).toBeLessThan(3);
});
test('hoisted', () => {
  const m = vi.hoisted(() => ({ x: vi.fn().mockName('x') }));
  expect(m.x.getMockName()).toBe('x');
});
test('class mock', () => {
  const Dog = vi.fn(
    class {
      bark = vi.fn(() => 'woof');
    },
  );
  const d: any = new Dog();
  expect(d.bark()).toBe('woof');
  expect(Dog).toHaveBeenCalled();
});
test('error equality', () => {
  expect(new Error('a')).toEqual(new Error('a'));
  expect({ e: new Error('a') }).not.toEqual({ e: new Error('b') });
});
test('snapshot of error and date', () => {
  expect({
    when: new Date(0),
    error: new TypeError('x'),
    map: new Map([['k', 1]]),
    fn: () => 1,
    sym: Symbol('s'),
    undef: undefined,
    big: 1n,
  }).toMatchSnapshot();
});
