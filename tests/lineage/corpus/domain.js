// event {"traits":{"email":"ada@example.com"}}
// passes traits.email
// traits.email -> traits.domain

export function transformEvent(event) {
  event.traits.domain = /@(.+)$/.exec(event.traits.email)?.[1] ?? 'none';
  return event;
}
