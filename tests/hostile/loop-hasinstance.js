// tries: Symbol.hasInstance that never returns; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return 1 instanceof { [Symbol.hasInstance]() { for (;;) {} } };
}
