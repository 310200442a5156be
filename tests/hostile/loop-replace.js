// tries: a replace callback that never returns; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  'aaa'.replace(/a/g, () => { for (;;) {} });
}
