// event {"properties":{"order_id":"o1","total":5,"internal":"z","sku":"s"}}
// properties.order_id -> properties.orderId
// properties.total -> properties.value
// passes properties.sku

const MAP = { order_id: 'orderId', total: 'value', internal: null };
export function transformEvent(event) {
  const properties = {};
  for (const key in event.properties) {
    const to = MAP[key] === undefined ? key : MAP[key];
    if (to !== null) properties[to] = event.properties[key];
  }
  return { properties };
}
