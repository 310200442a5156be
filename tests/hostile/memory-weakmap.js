// tries: WeakMaps that keep each other; verdict: failed timeout|memory|exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let w = new WeakMap();
  const keep = [];
  for (;;) { const k = {}; keep.push(k); w.set(k, new Array(100)); }
}
