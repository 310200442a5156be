// tries: the constructor and species of promises; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Promise.prototype.constructor = class {};
  Object.defineProperty(Promise, Symbol.species, { value: class {} });
  return event;
}
