// event {"userId":"u-1","traits":{"plan":"pro","seats":4},"context":{"source":"crm"}}
// (constant) -> type
// (constant) -> event
// passes userId
// traits.plan -> properties.plan
// traits.seats -> properties.seats
// context.source -> properties.source

export function transformEvent({ userId, traits, context }) {
  return { type: 'track', event: 'Traits Changed', userId, properties: { ...traits, source: context.source } };
}
