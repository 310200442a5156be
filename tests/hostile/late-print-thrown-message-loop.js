// tries: a microtask queued by a getter of an error while the result is printed, which never ends; verdict: failed timeout
let current;
const late = () => { Promise.resolve().then(() => { for (;;); }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  const error = new Error('thrown'); Object.defineProperty(error, 'message', { get() { late(); return 'thrown'; } }); throw error;
}
