// tries: recursion without end; verdict: failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const f = (n) => f(n + 1) + 1;
  return { n: f(0) };
}
