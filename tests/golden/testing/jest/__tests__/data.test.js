import data, { list } from './data.json';
import text from './readme.txt' with { type: 'text' };
import { transformBatch } from '../src/batch.js';

test('data by import', () => {
  expect(data).toEqual({ list: [1] });
  expect(list).toEqual([1]);
  expect(text).toBe('hello\n');
});
test('promises that are returned or gathered are awaited', () => expect(Promise.resolve(1)).resolves.toBe(1));
test('all of them', async () => {
  await Promise.all([
    expect(Promise.resolve(1)).resolves.toBe(1),
    expect(Promise.reject(new Error('x'))).rejects.toThrow('x'),
  ]);
});
test('sets and maps have no order', () => {
  expect(new Set([1, { a: 1 }])).toEqual(new Set([{ a: 1 }, 1]));
  expect(new Map([[{ k: 1 }, 1]])).toEqual(new Map([[{ k: 1 }, 1]]));
});
test('stand-ins', () => {
  expect([1, 2]).toEqual(expect.arrayOf(expect.any(Number)));
  expect({ a: 'x' }).toEqual({ a: expect.not.stringContaining('y') });
});
test('several events at once', () => {
  expect(transformBatch([{ a: 1 }, { a: 2 }])).toHaveLength(2);
  const verdicts = transform.of('../src/batch.js').batch([{ a: 1 }, { a: 2 }]);
  expect(verdicts).toHaveLength(2);
  expect(verdicts).toEmit([{ a: 1, i: 0, n: 2 }, { a: 2, i: 1, n: 2 }]);
});
let ended = false;
describe('hooks', () => {
  let n = 0;
  beforeAll(() => { n += 1; });
  afterAll(() => { ended = true; });
  it('run once', () => expect(n).toBe(1));
  it('and no more', () => expect(n).toBe(1));
  it.skip('skipped', () => {});
});
test('afterAll runs although a test of the group is skipped', () => { expect(ended).toBe(true); });
