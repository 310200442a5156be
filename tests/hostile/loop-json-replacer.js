// tries: a replacer that never returns; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  JSON.stringify([1], () => { for (;;) {} });
}
