// tries: own properties by every name that an object inherits; verdict: ok
// What ordinary code does with intrinsics; it throws where one of them is not what it was.
const check = (event) => {
  const sum = [3, 1, 2].map((n) => n + 1).filter((n) => n > 2).concat([9]).sort((a, b) => a - b).reduce((a, b) => a + b, 0);
  const copy = JSON.parse(JSON.stringify({ ...event, list: [...'ab'], date: new Date(0) }));
  const map = new Map([['a', 1], ['b', new Set([1, 2]).size]]);
  const text = `${'a-b'.split('-').join('+').toUpperCase().replace(/A/g, 'x')}${Object.keys(copy).length > 2}${[1, [2]].flat()}`;
  const date = new Date(Date.UTC(2020, 1, 29)).toISOString().slice(0, 10);
  const error = String(new TypeError('t'));
  const { n, ...rest } = { n: 1, m: 2 };
  const all = [sum === 16, copy.date === '1970-01-01T00:00:00.000Z', map.get('a') + map.get('b') === 3, text === 'x+Btrue1,2',
    date === '2020-02-29', error === 'TypeError: t', rest.m === 2, copy.hasOwnProperty('list'), `${{}}` === '[object Object]',
    (() => 1).call() === 1, Math.max(...[1, 2]) === 2, Number('12').toFixed(1) === '12.0', 'x'.padStart(2).length === 2,
    (12345.5).toLocaleString('en-US') === '12,345.5', Object.prototype.toString.call([]) === '[object Array]',
    Array.prototype.slice.call('ab').length === 2, 'x'.trim.call(' y ') === 'y', Array.from({ length: 2 }, (_, i) => i).length === 2];
  if (all.includes(false)) throw new Error(`poisoned: ${all.indexOf(false)}`);
};
// Every intrinsic that can be reached.
const intrinsics = () => {
  const found = new Set();
  const add = (value) => {
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null || found.has(value)) return;
    found.add(value);
    add(Reflect.getPrototypeOf(value));
    for (const key of Reflect.ownKeys(value)) {
      const own = Reflect.getOwnPropertyDescriptor(value, key);
      if ('value' in own) add(own.value);
      else { add(own.get); add(own.set); }
    }
  };
  const iterators = [[].values(), new Map().values(), new Set().values(), ''[Symbol.iterator](), 'a'.matchAll(/a/g),
    (function* () {})(), (async function* () {})(), async () => {}, Iterator.from({ next() {} }), [].values().map((x) => x)];
  for (const name of Reflect.ownKeys(globalThis)) if (name !== 'globalThis' && name !== 'global') add(globalThis[name]);
  iterators.forEach(add);
  found.delete(globalThis);
  return found;
};

export function transformEvent(event) {
  if (!event.hostile) {
    check(event);
    return event;
  }
  const refused = [];
  for (const one of intrinsics()) {
    if (typeof one === 'function' && !Object.hasOwn(one, 'prototype')) continue;
    for (const key of Reflect.ownKeys(one)) {
      const own = Reflect.getOwnPropertyDescriptor(one, key);
      // Accessors of the language, such as `size` of a map, want the object that they are about.
      if (typeof key === 'symbol' || ['prototype', 'name', 'length', '__proto__', 'caller', 'arguments'].includes(key)) continue;
      // The constructors of generators and async functions are read-only in the language itself.
      if (key === 'constructor' && /Function|Generator/.test(String(one[Symbol.toStringTag]))) continue;
      let value;
      try { value = 'value' in own ? own.value : one[key]; } catch { continue; }
      if (typeof value !== 'function') continue;
      const heir = Object.create(one);
      heir[key] = 1;
      if (heir[key] !== 1) refused.push(key);
    }
  }
  if (refused.length > 0) throw new Error(`refused: ${refused.slice(0, 20)}`);
  return event;
}
