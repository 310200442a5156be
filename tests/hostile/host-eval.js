// tries: eval, direct and indirect; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let reached = false;
  try { reached = eval('1') === 1; } catch {}
  try { reached ||= (0, globalThis.eval)('1') === 1; } catch {}
  if (reached) throw new Error('reached');
  return event;
}
