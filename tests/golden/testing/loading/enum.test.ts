enum Color { Red }
test('a', () => {});
