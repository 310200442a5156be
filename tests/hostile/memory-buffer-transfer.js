// tries: transferring a buffer to a larger size; verdict: failed exception|memory|timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { n: new ArrayBuffer(8).transfer(2 ** 32).byteLength };
}
