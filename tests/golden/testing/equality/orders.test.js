describe('orders', () => {
  test('fields that differ, are missing, are too many', () => {
    expect(transform({ id: 7, a: 1, b: 2, more: true })).toEmit([{ id: 7, a: 1, b: 3, total: 3, tags: ['x'] }]);
  });
  test('a part', () => {
    expect({ a: { b: [1, { c: 'text' }] } }).toMatchObject({ a: { b: [1, { c: expect.any(Number) }] } });
  });
  test('identity', () => {
    expect({ a: 1 }).toBe({ a: 1 });
  });
  test('a number', () => {
    expect(0.1 + 0.2).toBe(0.3);
  });
  test('not', () => {
    expect([1]).not.toEqual([1]);
  });
  test('throws nothing', () => {
    expect(() => 1).toThrow(/no/);
  });
  test('length', () => {
    expect('注文').toHaveLength(3);
  });
});
