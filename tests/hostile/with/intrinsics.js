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
// Every intrinsic that can be reached, and by which way.
const pathOf = new Map();
const intrinsics = (event, metadata) => {
  const found = new Set();
  const add = (value, path) => {
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null || value === globalThis || found.has(value)) return;
    found.add(value);
    pathOf.set(value, path);
    add(Reflect.getPrototypeOf(value), `${path}.__proto__`);
    for (const key of Reflect.ownKeys(value)) {
      const own = Reflect.getOwnPropertyDescriptor(value, key);
      if ('value' in own) add(own.value, `${path}.${String(key)}`);
      else { add(own.get, `get ${path}.${String(key)}`); add(own.set, `set ${path}.${String(key)}`); }
    }
  };
  for (const name of Reflect.ownKeys(globalThis)) add(globalThis[name], name);
  // What nothing names: the instances are the event's own, what they inherit from is everybody's.
  const segments = new Intl.Segmenter('en').segment('a b');
  const url = new URL('https://a.example/?b=c');
  const instances = {
    list: [].values(), map: new Map().values(), set: new Set().values(), text: ''[Symbol.iterator](), matches: 'a'.matchAll(/a/g),
    generator: function* () {}, asyncGenerator: async function* () {}, async: async () => {}, wrapped: Iterator.from({ next() {} }),
    helper: [].values().map((x) => x), segments, segment: segments[Symbol.iterator](), url, query: url.searchParams,
    pairs: url.searchParams.entries(), names: url.searchParams.keys(), each: url.searchParams[Symbol.iterator](), subtle: crypto.subtle,
    encoder: new TextEncoder(), decoder: new TextDecoder(), thrown: new DOMException(), typed: new Float32Array(1),
    format: new Intl.NumberFormat('en'), duration: new Intl.DurationFormat('en'), stack: new DisposableStack(), event, about: metadata?.(event),
  };
  for (const [name, one] of Object.entries(instances)) add(one && Reflect.getPrototypeOf(one), `${name}.__proto__`);
  const { get, set } = Object.getOwnPropertyDescriptor(new Error(), 'stack');
  add(get, 'get stack');
  add(set, 'set stack');
  (function () { add(Object.getOwnPropertyDescriptor(arguments, 'callee').get, 'get callee'); })();
  add(metadata, 'metadata');
  return found;
};
