// tries: the JSON of something huge; verdict: failed timeout|memory|output_too_large|exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { a: Array.from({ length: 2e6 }, (_, i) => ({ i })) };
}
