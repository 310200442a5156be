// event {"userId":"u","items":[{"sku":"a"},{"sku":"b"}]}
// passes userId
// items[].sku -> sku
// (constant) -> type
// decides items

export function transformEvent({ userId, items }) {
  return items.map((item) => ({ type: 'item', userId, sku: item.sku }));
}
