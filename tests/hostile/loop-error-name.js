// tries: an endless loop in the name getter of an error class; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  class E extends Error { get name() { for (;;) {} } }
  throw new E('x');
}
