// tries: splitting by a slow expression; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { x: ('a'.repeat(40) + 'b').split(/(a*)*c/).length };
}
