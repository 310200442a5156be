import * as v from 'vitest';

const { vi, expect, test } = v;

test('unawaited failing', () => {
  expect(Promise.resolve(1)).resolves.toBe(2);
});
test('multi-line', () => {
  expect('one\ntwo\nthree\nfour\nfive\nsix\nseven').toBe('one\ntwo\n3\nfour\nfive\nsix\nseven');
});
test('soft', () => {
  expect.soft(1, 'first').toBe(2); expect.soft({ a: 1 }).toEqual({ a: 2 });
});
test('assertions', () => {
  expect.assertions(2); expect(1).toBe(1);
});
test('no assertions', () => {
  expect.hasAssertions();
});
test('vi.mock', () => {
  vi.mock('./x');
});
test('setTimeout', async () => {
  await new Promise((r) => setTimeout(r, 10));
});
test('process', () => {
  process.env.X = '1';
});
test('typo', () => {
  expect(1).toBeEqual(1);
});
test('chai', () => {
  expect(1).to.equal(1);
});
test('vi typo', () => {
  vi.fnn();
});
test('message', () => {
  expect(1, 'one is two').toBe(2);
});
test('called', () => {
  const f = vi.fn(); f(1, { a: 1 }); expect(f).toHaveBeenCalledWith(1, { a: 2 });
});
test('not called', () => {
  const f = vi.fn().mockName('f'); f(1); f(2); expect(f).toHaveBeenCalledWith(3);
});
test('nth', () => {
  const f = vi.fn(); f(1); expect(f).toHaveBeenNthCalledWith(1, 2);
});
test('satisfy', () => {
  expect(3).toSatisfy((x) => x % 2 === 0, 'even');
});
test('one of', () => {
  expect(3).toBeOneOf([1, 2]);
});
test('typeof', () => {
  expect(3).toBeTypeOf('string');
});
test.fails('marked', () => {});
test('batch', () => {
  const verdicts = transform.batch([{ a: 1 }, { a: 2 }]); expect(verdicts).toEmit([{ a: 1, i: 0, n: 2 }, { a: 2, i: 1, n: 3 }]);
});
test('array', () => {
  transform([{ a: 1 }]);
});
test('verdict', () => {
  expect(transform.of('./t.js')({ a: 1 })).toEqual({ a: 1, i: 0, n: 1 });
});
test('skip inside', ({ skip }) => {
  skip('not now');
});
test('file snapshot of source', async () => {
  await expect('x').toMatchFileSnapshot('./t.js');
});
test('unreachable', () => {
  expect.unreachable('never');
});
test('loop', () => {
  for (;;);
}, 100);
test('stubEnv', () => {
  vi.stubEnv('A', 'b');
});
test('poll', async () => {
  await expect.poll(() => 1, { message: 'the count' }).toBe(2);
});
test('poll, not awaited', () => {
  expect.poll(() => 1).not.toBe(2);
});
test('queueMicrotask', () => {
  queueMicrotask(() => {});
});
test('matcher error', () => {
  expect(1).toHaveBeenCalled();
});
test('toContain', () => {
  expect([{ a: 1 }]).toContain({ a: 1 });
});
test('throw string', () => {
  throw 'text';
});
test('custom assert', () => {
  v.assert.strictEqual(1, 2, 'numbers');
});
test('spy module', async () => {
  vi.spyOn(v, 'test');
});
test('frozen', () => {
  vi.stubGlobal('Date', 1);
});
test('require', () => {
  require('./x');
});
test('a promise that was waited for', async () => {
  await Promise.resolve();
  await expect(Promise.resolve(1)).resolves.toBe(2);
});
test('a promise that was to fail', async () => {
  await expect(async () => 1).rejects.toThrow('x');
});
