// tries: many ArrayBuffers; verdict: failed exception|memory|timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const all = [];
  for (;;) all.push(new Uint8Array(1e6).fill(1));
}
