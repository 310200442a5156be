// tries: prepareStackTrace on a prototype; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let sites;
  try { Object.prototype.prepareStackTrace = (_, list) => { sites = list; }; } catch {}
  try { Function.prototype.prepareStackTrace = (_, list) => { sites = list; }; } catch {}
  void new Error('x').stack;
  if (sites !== undefined) throw new Error('reached');
  return event;
}
