// tries: Error.prepareStackTrace to get at call sites; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let sites;
  try { Error.prepareStackTrace = (_, list) => { sites = list; return 'x'; }; } catch {}
  try { Object.defineProperty(Error, 'prepareStackTrace', { value: (_, list) => { sites = list; } }); } catch {}
  const s = new Error('x').stack;
  if (sites !== undefined || typeof s !== 'string') throw new Error('reached');
  return event;
}
