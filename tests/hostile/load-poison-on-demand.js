// tries: replacing at load what the engine's scripts could use that are compiled only when an event needs them; verdict: ok
const { parse, stringify } = JSON;
const Failure = TypeError;
const { ownKeys, getOwnPropertyDescriptor, defineProperty } = Reflect;
const poison = () => {
  throw new Failure('poisoned');
};
const holders = [
  Object, Array, Number, String, Map.prototype, Set.prototype, WeakMap.prototype, RegExp.prototype, String.prototype, Array.prototype,
  Function.prototype, Number.prototype, Reflect,
];
const globals = ['Map', 'Set', 'WeakMap', 'String', 'Number', 'TypeError', 'Error'];
const copies = ['parse', 'keysOf', 'state', 'describe', 'print'];
const changes = [];
for (const holder of holders) {
  for (const name of ownKeys(holder)) {
    const own = getOwnPropertyDescriptor(holder, name);
    if (typeof own.value === 'function' && own.writable && own.configurable && name !== 'constructor') changes.push([holder, name]);
  }
}
const { length } = changes;
for (let i = 0; i < length; i++) defineProperty(changes[i][0], changes[i][1], { value: poison, writable: true, configurable: true });
for (let i = 0; i < globals.length; i++) globalThis[globals[i]] = poison;
for (let i = 0; i < copies.length; i++) defineProperty({}.__proto__, copies[i], { get: poison, set: poison, configurable: true });

export function transformEvent(event) {
  if (!event.hostile) return event;
  // Keys with escapes, a cycle, an object in the log, a deep object.
  if (parse('{"\\u0061b":1,"abc":2}').ab !== 1) throw 'the key was not read';
  const circle = {};
  circle.self = circle;
  let told = '';
  try {
    stringify(circle);
  } catch (error) {
    told = error.message;
  }
  if (told !== 'Converting circular structure to JSON: self is the object itself') throw told;
  log({ circle });
  let deep = {};
  for (let i = 0; i < 100; i++) deep = { deep };
  return { text: stringify(deep) };
}
