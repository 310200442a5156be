// event {"orders":[{"id":"o1","lines":[{"sku":"a","n":1},{"sku":"b","n":2}]},{"id":"o2","lines":[{"sku":"c","n":3}]}]}
// orders[].id -> lines[].order
// orders[].lines[].sku -> lines[].sku
// orders[].lines[].n -> units

export const transformEvent = ({ orders }) => ({
  lines: orders.flatMap((o) => o.lines.map((l) => ({ order: o.id, sku: l.sku }))),
  units: orders.flatMap((o) => o.lines).reduce((s, l) => s + l.n, 0),
});
