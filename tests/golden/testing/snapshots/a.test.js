test('differs', () => { expect({ b: 1, a: [2] }).toMatchSnapshot(); });
test('inline', () => { expect({ a: 1 }).toMatchInlineSnapshot(`
  {
    "a": 2,
  }
`); });
test('is new', () => { expect('x').toMatchSnapshot(); });
