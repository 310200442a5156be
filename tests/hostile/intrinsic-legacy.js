// tries: the legacy definers on every intrinsic; verdict: ok or failed exception
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
      try { one.__defineGetter__(key, evil); one.__defineSetter__(key, evil); } catch { /* refused, as it should be */ }
    }
  }
  return event;
}
