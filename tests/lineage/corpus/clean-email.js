// event {"userId":"u-1","traits":{"email":"ada@example.com"}}
// passes userId
// traits.email -> traits.email (computed)

export function transformEvent(event) {
  event.traits.email = event.traits.email.trim().toLowerCase();
  return event;
}
