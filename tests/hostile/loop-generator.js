// tries: a generator without end; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  function* g() { for (;;) yield 1; }
  let s = 0;
  for (const x of g()) s += x;
}
