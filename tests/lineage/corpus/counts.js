// event {"items":[{"category":"shoes"},{"category":"hats"},{"category":"shoes"}]}
// items[].category ~> counts.shoes
// items[].category ~> counts.hats

export function transformEvent({ items }) {
  const counts = {};
  for (const { category } of items) counts[category] = (counts[category] ?? 0) + 1;
  return { counts };
}
