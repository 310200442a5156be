// tries: writing onto the functions of the host; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  for (const f of [log, getCredential, console]) { try { f.polluted = 1; } catch {} }
  try { log.call = () => { throw 1; }; } catch {}
  log('x');
  return event;
}
