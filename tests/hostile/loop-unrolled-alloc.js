// tries: an endless loop around a bounded allocation; verdict: failed timeout|memory
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const list = [];
  for (;;) list.push(new Array(1000).fill(1));
}
