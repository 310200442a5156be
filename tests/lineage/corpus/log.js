// event {"userId":"u-1","traits":{"email":"ada@example.com"}}
// passes userId, traits.email
// traits.email -> log

export function transformEvent(event) {
  console.log('seen', event.traits.email);
  return event;
}
