// tries: a Set that grows; verdict: failed timeout|memory|exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const s = new Set();
  for (let i = 0; ; i++) s.add('k' + i);
}
