// tries: recursion that catches its overflow and goes on; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const f = () => { try { f(); } catch { f(); } };
  f();
  return event;
}
