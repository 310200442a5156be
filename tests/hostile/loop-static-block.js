// tries: a static block that never ends; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  class A { static { for (;;) {} } }
  return event;
}
