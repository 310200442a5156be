const seen = [];

test('stands alone', () => {
  expect(transform({ other: 1 }).events).toHaveLength(1);
});

test('counts', () => {
  transform({ count: 2 });
});

test('needs what was counted', () => {
  expect(transform({}).events[0].count).toBe(2);
});

test('keeps a global', () => {
  transform({ first: true, id: 'a' });
});

test('is spoilt by the global', () => {
  expect(transform({}, {}).events[0]).not.toHaveProperty('first');
});

test('notes', () => {
  seen.push('noted');
});

test('needs the note', () => {
  expect(seen).toEqual(['noted']);
});
