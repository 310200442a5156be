// tries: dynamic import of a file; verdict: ok
export async function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let reached = false;
  try { await import('/etc/passwd'); reached = true; } catch {}
  try { await import('file:///etc/passwd'); reached = true; } catch {}
  try { await import('node:fs'); reached = true; } catch {}
  if (reached) throw new Error('reached');
  return event;
}
