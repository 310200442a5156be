interface Row { id: string }
const row = (id: string): Row => ({ id });

test('never ends', () => { for (;;); });
test('is stopped, and the next one runs', (): void => { expect(row('a').id as string).toBe('a'); });
test('waits for nothing', async () => { await new Promise(() => {}); });
test('throws a type', () => {
  const deep = (n: number): never => { throw new TypeError(`at ${n}`); };
  deep(3);
});
test('throws a text', () => { throw 'text'; });
test('has no transformation', () => { transform({}); });
