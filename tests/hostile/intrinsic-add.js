// tries: adding properties to every intrinsic; verdict: ok or failed exception
// with: intrinsics

export function transformEvent(event) {
  if (!event.hostile) {
    check(event);
    return event;
  }
  const evil = function () { throw new Error('poisoned'); };
  const all = [...intrinsics()];
  for (const one of all) {
    for (const name of ['toJSON', 'then', 'own', 0, 1, Symbol.toPrimitive, Symbol.toStringTag]) {
      try { one[name] = evil; } catch { /* refused, as it should be */ }
    }
  }
  return event;
}
