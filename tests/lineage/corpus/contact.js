// event {"userId":"u-1","traits":{"email":"ada@example.com","phone":"+44 20 7946 0958"}}
// event {"userId":"u-2","traits":{"phone":"+49 30 901820"}}
// userId -> id
// traits.email -> contact
// traits.phone -> contact

export function transformEvent({ userId, traits }) {
  return { id: userId, contact: traits.email ? traits.email : traits.phone };
}
