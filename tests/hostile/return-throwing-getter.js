// tries: a getter that throws; verdict: failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { get a() { throw new Error('no'); } };
}
