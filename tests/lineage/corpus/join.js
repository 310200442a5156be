// event {"type":"identify","traits":{"first":"Ada","last":"Lovelace"}}
// passes type, traits.first, traits.last
// traits.first -> traits.name
// traits.last -> traits.name

export function transformEvent(event) {
  const { first, last } = event.traits;
  event.traits.name = `${first} ${last}`;
  return event;
}
