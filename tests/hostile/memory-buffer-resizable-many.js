// tries: reserving with resizable buffers; verdict: failed exception|memory|timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const all = [];
  for (;;) all.push(new ArrayBuffer(8, { maxByteLength: 2 ** 33 }));
}
