// tries: a getter that reads itself; verdict: failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { get a() { return this.a; } };
}
