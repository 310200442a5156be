import { describe, expect, it, vi } from 'vitest';
import { toEuros } from 'currency';

describe('toEuros', () => {
  it('knows rates', () => {
    expect(toEuros({ amount: 10, currency: 'USD' })).toBe(9);
  });

  it('throws on unknown ones', () => {
    expect(() => toEuros({ amount: 1, currency: 'XXX' })).toThrow(new RangeError('unknown currency XXX'));
    expect(() => toEuros({ amount: 1, currency: 'XXX' })).toThrowError(expect.objectContaining({ message: expect.stringContaining('XXX') }));
  });

  it('waits for promises', async () => {
    const called = vi.fn();
    void Promise.resolve().then(() => called('x'));
    await vi.waitFor(() => expect(called).toHaveBeenCalledWith('x'));
    await expect.poll(() => called.mock.calls.length).toBe(1);
  });

  it('waits for timers', async () => {
    vi.useFakeTimers();
    let done = false;
    setTimeout(() => { done = true; }, 400);
    await expect.poll(() => done, { interval: 100 }).toBe(true);
    setTimeout(() => { done = false; }, 400);
    await vi.waitUntil(() => !done, { timeout: 500 });
    setTimeout(() => { done = true; }, 400);
    await expect(vi.waitFor(() => expect(done).toBe(true), 300)).rejects.toThrow();
    vi.useRealTimers();
  });
});
