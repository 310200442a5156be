// event {"userId":"u-1","traits":{"email":"ada@example.com","password":"hunter2","plan":"pro"}}
// passes userId, traits.email, traits.plan

export function transformEvent(event) {
  const { password, ...safe } = event.traits;
  return { ...event, traits: safe };
}
