// tries: an ArrayBuffer over the limit; verdict: failed exception|memory
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { n: new ArrayBuffer(2 ** 31).byteLength };
}
