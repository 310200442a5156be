// event {"event":"Order Completed","properties":{"revenue":5,"order_id":"o1"}}
// event {"event":"Product Viewed","properties":{"sku":"s1"}}
// event {"event":"Other","properties":{}}
// decides event
// properties.revenue -> value
// properties.order_id -> id
// properties.sku -> id
// event ~> action
// event ~> value
// event ~> id

export function transformEvent(event) {
  switch (event.event) {
    case 'Order Completed': return { action: 'purchase', value: event.properties.revenue, id: event.properties.order_id };
    case 'Product Viewed': return { action: 'view', id: event.properties.sku };
    default: return null;
  }
}
