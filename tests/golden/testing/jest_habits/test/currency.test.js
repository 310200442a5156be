// Globals, as Jest has them.
import { toEuros } from 'currency';

jest.setTimeout(2000);

describe('toEuros', () => {
  beforeEach((done) => { done(); });
  test('rates', () => {
    expect.hasAssertions();
    expect(toEuros({ amount: 10, currency: 'USD' })).toEqual(9);
  });
  test('asymmetric', () => {
    expect({ id: 'x-12', list: [1, 2, 3], at: new Date(0) }).toEqual({
      id: expect.stringMatching(/^x-/), list: expect.arrayContaining([3, 1]), at: expect.any(Date),
    });
    expect(['a', 'b']).toEqual(expect.not.arrayContaining(['c']));
    expect(10.0001).toEqual(expect.closeTo(10, 2));
  });
});
