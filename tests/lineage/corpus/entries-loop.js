// event {"properties":{"price":5,"name":"tea","secret":"x","qty":2}}
// passes properties.price, properties.qty
// properties.name -> properties.name (computed)

export function transformEvent(event) {
  const out = {};
  for (const [key, value] of Object.entries(event.properties)) {
    if (key === 'secret') continue;
    out[key] = typeof value === 'string' ? value.toUpperCase() : value;
  }
  return { properties: out };
}
