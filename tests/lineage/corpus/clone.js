// event {"userId":"u","traits":{"email":"a@b.co","plan":"pro"}}
// passes userId, traits.email, traits.plan
// traits.plan -> traits.tier

export function transformEvent(event) {
  const e = structuredClone(event);
  e.traits.tier = e.traits.plan.toUpperCase();
  return e;
}
