// event {"traits":{"firstName":"Ada","lastName":"L","plan":"pro"}}
// traits.firstName -> traits.first_name
// traits.lastName -> traits.last_name
// passes traits.plan

const snake = (key) => key.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);
export function transformEvent(event) {
  event.traits = Object.fromEntries(Object.entries(event.traits).map(([key, value]) => [snake(key), value]));
  return event;
}
