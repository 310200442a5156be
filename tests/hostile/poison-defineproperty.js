// tries: Object.defineProperty and Reflect; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Object.defineProperty = () => { throw 1; };
  Reflect.ownKeys = () => [];
  Reflect.get = () => 'poisoned';
  return event;
}
