// event {"properties":{"products":[{"price":9.5,"quantity":2},{"price":4,"quantity":1}]}}
// passes properties.products[].price, properties.products[].quantity
// properties.products[].price -> properties.total
// properties.products[].quantity -> properties.total

export function transformEvent(event) {
  let total = 0;
  for (const { price, quantity } of event.properties.products) total += price * quantity;
  event.properties.total = total;
  return event;
}
