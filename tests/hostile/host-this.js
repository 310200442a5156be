// tries: this; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  if (this !== undefined || (function () { return this; })() !== undefined) throw new Error('this');
  return event;
}
