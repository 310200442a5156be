// tries: an endless loop that catches everything; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  for (;;) { try { null.x; } catch { continue; } finally { event.n = 1; } }
}
