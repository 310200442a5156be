// tries: an object with keys without end; verdict: failed timeout|memory
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const o = {};
  for (let i = 0; ; i++) o['k' + i] = i;
}
