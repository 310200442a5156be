// tries: an AggregateError of many; verdict: failed exception|timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  throw new AggregateError(Array.from({ length: 1e5 }, () => new Error('x')), 'many');
}
