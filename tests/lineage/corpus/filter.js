// event {"properties":{"products":[{"name":"pen","price":3},{"name":"lamp","price":40},{"name":"desk","price":300}]}}
// properties.products[].name -> expensive[].name
// properties.products[].price -> expensive[].price
// properties.products[].price ~> expensive[]

export function transformEvent(event) {
  return { expensive: event.properties.products.filter((product) => product.price > 10) };
}
