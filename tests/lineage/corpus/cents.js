// event {"properties":{"price":19.99,"currency":"EUR"}}
// passes properties.currency
// properties.price -> properties.price_cents

export function transformEvent(event) {
  const { price, ...others } = event.properties;
  event.properties = { ...others, price_cents: Math.round(price * 100) };
  return event;
}
