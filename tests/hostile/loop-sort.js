// tries: a comparator that never returns; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return [3, 2, 1].sort(() => { for (;;) {} });
}
