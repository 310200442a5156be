// tries: sleeping by Atomics.wait; verdict: failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10000);
  return event;
}
