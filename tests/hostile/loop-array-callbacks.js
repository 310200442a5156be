// tries: array callbacks that keep their array growing; verdict: failed timeout|memory
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const a = [1];
  for (const x of a) a.push(x);
}
