// event {"properties":{"card":"4111111111111111","amount":12}}
// passes properties.amount
// properties.card -> properties.card (computed)

export function transformEvent(event) {
  event.properties.card = `**** ${event.properties.card.slice(-4)}`;
  return event;
}
