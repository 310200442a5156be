// event {"properties":{"products":[{"sku":"a"},{"sku":"b"}]}}
// passes properties.products[].sku
// properties.products -> properties.count

export function transformEvent(event) {
  event.properties.count = event.properties.products.length;
  return event;
}
