// tries: never leaving a finally block; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  try { throw 1; } finally { for (;;) {} }
}
