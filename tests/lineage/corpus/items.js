// event {"type":"track","properties":{"products":[{"sku":"a-1","price":9.5,"color":"red"},{"sku":"b-2","price":4,"color":"blue"}]}}
// passes type
// properties.products[].sku -> properties.items[].id
// properties.products[].price -> properties.items[].amount

export function transformEvent(event) {
  const items = event.properties.products.map((product) => ({ id: product.sku, amount: product.price }));
  return { type: event.type, properties: { items } };
}
