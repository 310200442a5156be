// tries: an array that grows; verdict: failed timeout|memory
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const a = [];
  for (;;) a.push({});
}
