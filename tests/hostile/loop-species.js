// tries: Symbol.species that never returns; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  class A extends Array { static get [Symbol.species]() { for (;;) {} } }
  return new A(1, 2).map((x) => x);
}
