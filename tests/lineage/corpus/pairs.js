// event {"type":"identify","traits":{"row":"[[\"email\",\"ada@example.com\"],[\"seats\",7]]"}}
// passes type
// traits.row(json).email -> traits.email
// traits.row(json).seats -> traits.seats

export function transformEvent(event) {
  event.traits = Object.fromEntries(JSON.parse(event.traits.row));
  return event;
}
