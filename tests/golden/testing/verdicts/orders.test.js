test('a failure where events were expected', () => {
  expect(transform({ type: 'boom', items: [] })).toEmit([{ id: 7 }]);
});
test('a drop where events were expected', () => {
  expect(transform({ type: 'drop' })).toEmit({ id: 7 });
});
test('events where a drop was expected', () => {
  expect(transform({ id: 1, a: 1, b: 1 })).toBeDropped();
});
test('another failure', () => {
  expect(transform({ type: 'boom', items: [] })).toFailWith('timeout');
});
test('another message', () => {
  expect(transform({ type: 'boom', items: [] })).toFailWith(/no items/);
});
test('no failure', () => {
  expect(transform({ id: 1, a: 1, b: 1 })).toFailWith('exception');
});
test('not a verdict', () => {
  expect({ id: 1 }).toBeDropped();
});
test('an unknown option', () => {
  transform({ id: 1 }, { credential: {} });
});
