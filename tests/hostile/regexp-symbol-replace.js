// tries: an exec of its own that always matches; verdict: failed timeout|memory
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const r = /a/g;
  Object.defineProperty(r, 'exec', { value: () => ({ index: 0, 0: '', length: 1 }) });
  return { x: 'aaa'.replace(r, 'b') };
}
