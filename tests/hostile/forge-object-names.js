// tries: setters on Object.prototype for the names of the driver's own objects; verdict: ok
let seen = 0;
const names = ['thrown', 'indexOf', 'indexOfId', 'names', 'nodes', 'losesKeys', 'value', 'done', 'length', 'n', 's', 'hostile',
  'a', 'b', 'status', 'body', 'error', 'whole', 'headers', 'url', 'method', 'message', 'stack', 'name'];
for (const name of names) {
  Object.defineProperty(Object.prototype, name, {
    __proto__: null,
    configurable: true,
    get() { seen++; return undefined; },
    set(value) {
      seen++;
      Object.defineProperty(this, name, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
    },
  });
}
export function transformEvent(event) {
  if (!event.hostile) return event;
  return [{ a: 1 }, { ...event }];
}
