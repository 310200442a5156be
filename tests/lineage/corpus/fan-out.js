// event {"userId":"u-1","properties":{"products":[{"sku":"a","price":1},{"sku":"b","price":2}]}}
// passes userId
// (constant) -> type
// (constant) -> event
// properties.products[].sku -> properties.sku
// properties.products[].price -> properties.price
// decides properties.products

export function transformEvent({ userId, properties }) {
  return properties.products.map((product) => ({ type: 'track', event: 'Product Bought', userId, properties: product }));
}
