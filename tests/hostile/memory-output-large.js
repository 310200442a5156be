// tries: one output over the limit; verdict: failed output_too_large|memory
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { x: 'x'.repeat(17 << 20) };
}
