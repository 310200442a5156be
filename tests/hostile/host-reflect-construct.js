// tries: Function by Reflect.construct; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let reached = false;
  try { reached = Reflect.construct(Function, ['return 1'])() === 1; } catch {}
  if (reached) throw new Error('reached');
  return event;
}
