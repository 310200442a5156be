// tries: freezing and sealing every intrinsic; verdict: ok or failed exception
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
      try { Object.freeze(one); Object.seal(one); Object.preventExtensions(one); } catch { /* refused, as it should be */ }
    }
  }
  return event;
}
