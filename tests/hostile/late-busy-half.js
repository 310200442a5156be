// tries: using most of the time, again and again, without going over; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const end = Date.now() + 10;
  while (Date.now() < end) {}
  return event;
}
