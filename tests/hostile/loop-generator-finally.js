// tries: a generator whose finally never ends; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  function* g() { try { yield 1; } finally { for (;;) {} } }
  for (const x of g()) break;
  return event;
}
