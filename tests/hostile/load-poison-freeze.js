// tries: replacing what the lockdown uses while loading; verdict: ok
Object.freeze = (x) => x;
Object.isFrozen = () => true;
Reflect.preventExtensions = () => true;
Reflect.defineProperty = () => true;
Set.prototype.has = () => true;
export function transformEvent(event) {
  if (event.hostile) {
    try { Object.prototype.toJSON = () => 'poisoned'; } catch {}
    try { Array.prototype[0] = 'poisoned'; } catch {}
  }
  return event;
}
