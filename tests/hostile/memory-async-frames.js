// tries: async recursion without end; verdict: failed exception|memory|timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const go = async (n) => { await null; return go(n + 1); };
  return go(0);
}
