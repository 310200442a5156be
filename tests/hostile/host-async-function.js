// tries: the constructor of async functions; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let reached = false;
  try { reached = Boolean((async () => {}).constructor('return 1')); } catch {}
  if (reached) throw new Error('reached');
  return event;
}
