// tries: Array.from with a large length; verdict: failed exception|memory|timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { n: Array.from({ length: 2 ** 32 - 1 }, (_, i) => [i]).length };
}
