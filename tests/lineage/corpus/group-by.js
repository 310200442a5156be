// event {"orders":[{"country":"de","total":5},{"country":"fr","total":7},{"country":"de","total":2}]}
// orders[].total -> totals.de
// orders[].total -> totals.fr
// orders[].country ~> totals.de
// orders[].country ~> totals.fr

export function transformEvent({ orders }) {
  const groups = Object.groupBy(orders, (order) => order.country);
  return { totals: Object.fromEntries(Object.entries(groups).map(([c, list]) => [c, list.reduce((s, o) => s + o.total, 0)])) };
}
