// tries: sorting with a slow comparator; verdict: failed timeout|memory
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Array.from({ length: 1e6 }, (_, i) => -i).sort((a, b) => { let x = 0; for (let i = 0; i < 1000; i++) x += i; return a - b; });
  return event;
}
