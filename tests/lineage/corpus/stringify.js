// event {"userId":"u","traits":{"email":"a@b.co","plan":"pro"}}
// passes userId
// traits.email -> raw
// traits.plan -> raw

export function transformEvent(event) {
  return { userId: event.userId, raw: JSON.stringify(event.traits) };
}
