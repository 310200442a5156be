// tries: a resizable ArrayBuffer, which no allocator counts; verdict: failed exception|memory|timeout or ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const b = new ArrayBuffer(8, { maxByteLength: 2 ** 40 });
  b.resize(2 ** 40);
  return { n: b.byteLength };
}
