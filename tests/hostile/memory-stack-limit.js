// tries: a stack trace of a million frames; verdict: failed exception|timeout|memory
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Error.stackTraceLimit = 1e9;
  const f = (n) => { if (n === 0) throw new Error('deep'); f(n - 1); };
  for (let i = 0; i < 20; i++) { try { f(7000); } catch (e) { event.s = e.stack.length; } }
  f(7000);
}
