// tries: flattening what multiplies; verdict: failed exception|memory|timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let a = [1, 2];
  for (;;) a = [a, a, a, a].flat();
}
