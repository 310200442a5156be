// tries: the global JSON; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  globalThis.JSON = { parse: () => ({}), stringify: () => '{"poisoned":1}' };
  return event;
}
