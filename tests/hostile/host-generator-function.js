// tries: the constructor of generators; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let reached = false;
  try { reached = Boolean((function* () {}).constructor('yield 1')); } catch {}
  if (reached) throw new Error('reached');
  return event;
}
