// event {"traits":{"first":"Ada","last":"Lovelace","plan":"pro"},"userId":"u1"}
// traits.first -> name
// traits.last -> name
// traits.plan -> tier
// userId -> key

const compose = (...fns) => (x) => fns.reduce((acc, fn) => fn(acc), x);
const withName = (e) => (out) => ({ ...out, name: [e.traits.first, e.traits.last].join(' ') });
const withTier = (e) => (out) => ({ ...out, tier: e.traits.plan.toUpperCase() });
const withKey = (e) => (out) => ({ ...out, key: `user:${e.userId}` });
export function transformEvent(event) {
  return compose(withName(event), withTier(event), withKey(event))({});
}
