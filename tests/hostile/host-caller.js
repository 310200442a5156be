// tries: the engine by caller and arguments; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let reached;
  try { reached = transformEvent.caller; } catch {}
  try { reached ??= arguments.callee.caller; } catch {}
  if (reached) throw new Error('reached');
  return event;
}
