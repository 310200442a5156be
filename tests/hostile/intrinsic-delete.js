// tries: deleting every property of every intrinsic; verdict: ok or failed exception
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
      try { delete one[key]; } catch { /* refused, as it should be */ }
    }
  }
  return event;
}
