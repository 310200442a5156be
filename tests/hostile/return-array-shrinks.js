// tries: an array that shrinks while it is read; verdict: ok or failed bad_return|exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const a = [{ get x() { a.length = 0; return 1; } }, {}, {}];
  return a;
}
