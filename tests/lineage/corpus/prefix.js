// event {"userId":"u-1","traits":{"plan":"pro","seats":4}}
// userId -> id
// traits.plan -> user_plan
// traits.seats -> user_seats

export function transformEvent({ userId, traits }) {
  const out = { id: userId };
  for (const [key, value] of Object.entries(traits)) out[`user_${key}`] = value;
  return out;
}
