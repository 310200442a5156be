// tries: a revoked Proxy of an array; verdict: failed exception|bad_return
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const { proxy, revoke } = Proxy.revocable([], {});
  revoke();
  return proxy;
}
