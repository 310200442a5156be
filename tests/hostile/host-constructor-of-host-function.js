// tries: the constructors of what the host hands over; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let reached = false;
  for (const f of [log, getCredential, metadata, console.log]) { try { f.constructor('return 1')(); reached = true; } catch {} }
  if (reached) throw new Error('reached');
  return event;
}
