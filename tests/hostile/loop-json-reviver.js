// tries: a reviver that never returns; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  JSON.parse('[1]', () => { for (;;) {} });
}
