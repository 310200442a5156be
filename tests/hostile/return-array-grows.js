// tries: an array that grows while it is read; verdict: ok or failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const a = [{ get x() { a.push(event); return 1; } }];
  return a;
}
