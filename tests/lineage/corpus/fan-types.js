// event {"userId":"u","email":"a@b.co","orders":[{"id":"o1"},{"id":"o2"}]}
// passes userId
// (constant) -> type
// email -> traits.email
// orders[].id -> properties.id
// decides orders

export function transformEvent(e) {
  return [
    { type: 'identify', userId: e.userId, traits: { email: e.email } },
    ...e.orders.map((o) => ({ type: 'track', userId: e.userId, properties: o })),
  ];
}
