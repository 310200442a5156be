// tries: making code by the chain of constructors; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let reached = false;
  try { reached = event.constructor.constructor('return globalThis')() !== undefined; } catch {}
  if (reached) throw new Error('reached');
  return event;
}
