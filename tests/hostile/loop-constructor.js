// tries: a constructor that never returns; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  class A { constructor() { for (;;) {} } }
  return new A();
}
