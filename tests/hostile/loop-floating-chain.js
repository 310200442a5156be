// tries: an endless chain that is not awaited; verdict: failed timeout|memory
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const go = () => Promise.resolve().then(go);
  go();
  return event;
}
