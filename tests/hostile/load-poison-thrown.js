// tries: replacing at load what describes a thrown value, which is compiled when one is thrown; verdict: failed exception
const { defineProperty } = Reflect;
const forged = () => 'forged';
for (const [holder, name] of [[Array, 'isArray'], [Error, 'isError'], [String.prototype, 'slice'], [Function.prototype, 'call'], [Function.prototype, 'bind']]) {
  defineProperty(holder, name, { value: forged, writable: true, configurable: true });
}
for (const name of ['print', 'isArray', 'isError', 'asText', 'slice', 'NewError', 'describe']) {
  defineProperty({}.__proto__, name, { get: forged, set: forged, configurable: true });
}
globalThis.String = forged;
export function transformEvent(event) {
  if (event.hostile) throw new AggregateError([new TypeError('one')], 'thrown', { cause: { deep: 1 } });
  return event;
}
