// tries: setting every property of every intrinsic through another receiver; verdict: ok or failed exception
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
      try { Reflect.set({}, key, evil, one); Reflect.set(one, key, evil); Object.assign(one, { [key]: evil }); } catch { /* refused, as it should be */ }
    }
  }
  return event;
}
