// tries: a microtask queued by a getter of an error while the result is printed, which changes the next event; verdict: failed exception
let current;
const late = () => { Promise.resolve().then(() => null).then(() => { current.stolen = true; current.n = 'changed'; }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  const error = new Error('thrown'); Object.defineProperty(error, 'message', { get() { late(); return 'thrown'; } }); throw error;
}
