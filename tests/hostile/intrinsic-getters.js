// tries: what the accessors of every intrinsic let through; verdict: ok or failed exception
// with: intrinsics

export function transformEvent(event) {
  if (!event.hostile) {
    check(event);
    return event;
  }
  const evil = function () { throw new Error('poisoned'); };
  const all = [...intrinsics()];
  for (const one of all) {
    for (const key of Reflect.ownKeys(one)) {
      try { const own = Reflect.getOwnPropertyDescriptor(one, key); own.set?.call(one, evil); if (own.get) { own.get.poisoned = 1; } } catch { /* refused, as it should be */ }
    }
  }
  return event;
}
