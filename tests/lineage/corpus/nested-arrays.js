// event {"orders":[{"id":"o1","lines":[{"sku":"a","qty":1},{"sku":"b","qty":2}]},{"id":"o2","lines":[{"sku":"c","qty":1}]}]}
// orders[].lines[].sku -> items[].sku
// orders[].id -> items[].order
// orders[].lines[].qty -> quantity
// orders[].id -> ids

export function transformEvent({ orders }) {
  const items = orders.flatMap((o) => o.lines.map((l) => ({ order: o.id, sku: l.sku })));
  const quantity = orders.reduce((n, o) => n + o.lines.reduce((m, l) => m + l.qty, 0), 0);
  return { items, quantity, ids: orders.map(({ id }) => id).join() };
}
