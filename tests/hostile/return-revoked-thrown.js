// tries: throwing a revoked Proxy; verdict: failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  throw proxy;
}
