// event {"items":[{"sku":"a","qty":1},{"sku":"b","qty":2},{"sku":"a","qty":5}],"id":"o1"}
// passes id
// items[].sku -> skus[]
// items[].qty -> most
// items[].sku ~> most

export function transformEvent({ id, items }) {
  const counts = new Map();
  for (const { sku, qty } of items) counts.set(sku, (counts.get(sku) ?? 0) + qty);
  const skus = [...new Set(items.map((item) => item.sku))];
  return { id, skus, most: Math.max(...counts.values()) };
}
