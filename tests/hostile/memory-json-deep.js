// tries: nesting a million deep; verdict: ok or failed exception|memory|timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let o = {};
  for (let i = 0; i < 1e6; i++) o = { o };
  return o;
}
