// tries: replacing iterators and setters that the lockdown walks with; verdict: ok
Set.prototype[Symbol.iterator] = function* () {};
Array.prototype[Symbol.iterator] = function* () {};
Set.prototype.keys = function* () {};
Object.getPrototypeOf(new Set()[Symbol.iterator]()).next = () => ({ done: true });
export function transformEvent(event) {
  if (event.hostile) {
    try { Object.prototype.toJSON = () => 'poisoned'; } catch {}
    try { JSON.poisoned = 1; } catch {}
  }
  return event;
}
