// event {"properties":{"products":[{"tags":["new","red"]},{"tags":["sale"]}]}}
// properties.products[].tags[] -> tags

function* tagsOf(products) {
  for (const product of products) yield* product.tags;
}

export function transformEvent({ properties }) {
  return { tags: [...tagsOf(properties.products)].join('|') };
}
