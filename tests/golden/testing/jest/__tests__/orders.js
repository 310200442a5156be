import { jest, describe, it, test, expect, beforeEach, afterEach, beforeAll, afterAll } from '@jest/globals';
import { transformEvent } from '../src/orders';

jest.setTimeout(2000);
const metadata = jest.fn();

beforeEach(() => {
  metadata.mockReset();
  metadata.mockReturnValue({ sourceId: 's-1' });
});
afterEach(() => { jest.restoreAllMocks(); jest.useRealTimers(); });

describe('orders', () => {
  it('multiplies', () => {
    expect(transformEvent({ type: 'track', price: 2, count: 3 }, metadata)).toEqual({ type: 'track', price: 2, count: 3, total: 6, source: 's-1' });
    expect(metadata).toBeCalledTimes(1);
    expect(metadata).toHaveBeenCalledWith(expect.objectContaining({ price: 2 }));
    expect(metadata.mock.calls[0][0]).toHaveProperty('count', 3);
    expect(metadata).toHaveReturnedWith({ sourceId: 's-1' });
  });
  it.each([['page'], ['screen'], ['identify']])('drops %s', (type) => {
    expect(transformEvent({ type }, metadata)).toBeNull();
    expect(metadata).not.toHaveBeenCalled();
  });
  test('through the engine', () => {
    expect(transform({ type: 'track', price: 2, count: 3 }, { metadata: { sourceId: 'x' } })).toEmit({ type: 'track', price: 2, count: 3, total: 6, source: 'x' });
  });
  xit('later', () => {});
  it.todo('more');
  it.failing('fails', () => { throw new Error('x'); });
  it('clock', () => {
    jest.useFakeTimers({ now: new Date('2020-01-01') });
    expect(new Date().getFullYear()).toBe(2020);
    expect(Date.now()).toBe(1577836800000);
    jest.setSystemTime(new Date('2021-01-01'));
    expect(new Date().toISOString()).toMatch(/^2021/);
    const cb = jest.fn();
    const id = setInterval(cb, 100);
    jest.advanceTimersByTime(350);
    expect(cb).toHaveBeenCalledTimes(3);
    clearInterval(id);
    setTimeout(cb, 10);
    jest.runAllTimers();
    expect(cb).toHaveBeenCalledTimes(4);
    setTimeout(cb, 10); setTimeout(() => setTimeout(cb, 5), 5);
    jest.runOnlyPendingTimers();
    expect(jest.getTimerCount()).toBe(1);
  });
  it('async', async () => {
    jest.useFakeTimers();
    const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    let done = false;
    const p = wait(1000).then(() => { done = true; });
    await jest.advanceTimersByTimeAsync(1000);
    expect(done).toBe(true);
    await p;
  });
  it('spies', () => {
    const o = { a: (x) => x + 1, get b() { return 1; } };
    const spy = jest.spyOn(o, 'a').mockImplementationOnce(() => 10);
    expect(o.a(1)).toBe(10);
    expect(o.a(1)).toBe(2);
    expect(spy).toHaveBeenCalledTimes(2);
    expect(spy.mock.results).toEqual([{ type: 'return', value: 10 }, { type: 'return', value: 2 }]);
    jest.spyOn(o, 'b', 'get').mockReturnValue(5);
    expect(o.b).toBe(5);
    jest.restoreAllMocks();
    expect(o.b).toBe(1);
    expect(jest.isMockFunction(o.a)).toBe(false);
    jest.spyOn(global_().Math, 'random').mockReturnValue(0.25);
    expect(Math.random()).toBe(0.25);
  });
  it('snapshots', () => {
    expect({ b: 1, a: ['x'] }).toMatchSnapshot();
    expect(() => { throw new TypeError('bad'); }).toThrowErrorMatchingInlineSnapshot(`"bad"`);
    expect({ id: 17, at: new Date(0) }).toMatchSnapshot({ id: expect.any(Number) });
    expect({ id: 17 }).toMatchInlineSnapshot({ id: expect.any(Number) }, `
      {
        "id": Any<Number>,
      }
    `);
  });
  it('done', (done) => { Promise.resolve(1).then((x) => { expect(x).toBe(1); done(); }); });
  it('new', () => {
    const Klass = jest.fn(function () { this.x = 1; });
    const k = new Klass();
    expect(k.x).toBe(1);
    expect(Klass.mock.instances[0]).toBe(k);
    expect(Klass.mock.contexts[0]).toBe(k);
  });
});
const global_ = () => globalThis;
