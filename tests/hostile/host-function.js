// tries: new Function; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let reached = false;
  try { reached = new Function('return 1')() === 1; } catch {}
  if (reached) throw new Error('reached');
  return event;
}
