// tries: a Map that grows; verdict: failed timeout|memory|exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const m = new Map();
  for (let i = 0; ; i++) m.set(i, {});
}
