// tries: a promise chain that grows for ever; verdict: failed timeout|memory
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const go = () => Promise.resolve().then(go);
  return go();
}
