// tries: freezing whatever can be frozen; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  for (const key of Object.getOwnPropertyNames(globalThis)) { try { Object.freeze(globalThis[key]); Object.freeze(globalThis[key].prototype); } catch {} }
  Object.freeze(globalThis);
  return event;
}
