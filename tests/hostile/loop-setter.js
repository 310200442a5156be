// tries: a setter that never returns; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const o = { set a(x) { for (;;) {} } };
  o.a = 1;
}
