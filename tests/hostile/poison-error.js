// tries: the global Error and its hasInstance; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Object.defineProperty(Error, Symbol.hasInstance, { value: () => true });
  globalThis.Error = class {};
  return event;
}
