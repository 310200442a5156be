// tries: a template bomb; verdict: failed exception|memory|timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let s = 'x';
  for (let i = 0; i < 60; i++) s = `${s}${s}`;
  return { s };
}
