// What the author's code finds around it, and what it may change there.
//
// Before the code is loaded, everything that is not on the list disappears from the global object: an allowlist, so
// that what a new V8 brings is absent until it was reviewed. While modules load, they may extend the
// prototypes (polyfills do). Once they have loaded, `freeze` ends that: no event can change what a later one meets.
// `Object.prototype`, `Function.prototype` and the errors' prototypes are only closed to new properties, since a frozen
// prototype would forbid `this.name = …` in an error class and `result.constructor = …` on a plain object.
(() => {
  const allowed = new Set([
    'AggregateError', 'Array', 'ArrayBuffer', 'AsyncDisposableStack', 'BigInt', 'BigInt64Array', 'BigUint64Array',
    'Boolean', 'DataView', 'Date', 'DisposableStack', 'Error', 'EvalError', 'Float16Array', 'Float32Array',
    'Float64Array', 'Function', 'Infinity', 'Int16Array', 'Int32Array', 'Int8Array', 'Intl', 'Iterator', 'JSON', 'Map',
    'Math', 'NaN', 'Number', 'Object', 'Promise', 'Proxy', 'RangeError', 'ReferenceError', 'Reflect', 'RegExp', 'Set',
    'String', 'SuppressedError', 'Symbol', 'SyntaxError', 'Temporal', 'TypeError', 'URIError', 'Uint16Array',
    'Uint32Array', 'Uint8Array', 'Uint8ClampedArray', 'WeakMap', 'WeakSet', 'decodeURI', 'decodeURIComponent',
    'encodeURI', 'encodeURIComponent', 'escape', 'globalThis', 'isFinite', 'isNaN', 'parseFloat', 'parseInt',
    'undefined', 'unescape',
  ]);
  const { ownKeys, getPrototypeOf, getOwnPropertyDescriptor, defineProperty, preventExtensions } = Reflect;
  const { freeze, hasOwn, isFrozen } = Object;

  for (const key of ownKeys(globalThis)) {
    if (typeof key === 'string' && !allowed.has(key) && !delete globalThis[key]) {
      throw new Error(`the global ${key} cannot be removed`);
    }
  }
  // These let memory grow past the allocator that counts it.
  delete ArrayBuffer.prototype.resize;
  // V8 would call it with objects that tell about the engine's own frames.
  defineProperty(Error, 'prepareStackTrace', { value: undefined, writable: false, configurable: false });
  Error.stackTraceLimit = 50;

  // Intrinsics that no global names.
  const hidden = [
    function* () {}, async function* () {}, async function () {}, [][Symbol.iterator](), new Map().entries(),
    new Set().entries(), ''[Symbol.iterator](), ''.matchAll(/x/g), Iterator.from({ next: () => ({ done: true, value: undefined }) }),
    [].values().map((x) => x), Int8Array,
  ];
  const closedOnly = new Set([Object.prototype, Function.prototype]);
  for (const name of allowed) {
    const value = globalThis[name];
    if (typeof value === 'function' && (value === Error || getPrototypeOf(value) === Error)) {
      closedOnly.add(value.prototype);
    }
  }

  const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function';

  // Functions that are not constructors hold nothing that others look up: freezing nine hundred of them would cost an
  // isolate more than all the rest of its making, and so would looking for what can be reached through them.
  const matters = (value) => (typeof value === 'object' ? value !== null : isConstructor(value));
  const isConstructor = (value) => typeof value === 'function' && hasOwn(value, 'prototype');

  /** Everything that can be reached from the intrinsics through properties and prototypes, and matters. */
  const reachable = (roots) => {
    // What is added while it is gone through is gone through too.
    const seen = new Set(roots.filter(isObject));
    for (const object of seen) {
      const prototype = getPrototypeOf(object);
      if (prototype !== null) seen.add(prototype);
      const keys = ownKeys(object);
      for (let i = 0; i < keys.length; i++) {
        // Accessors are functions, and no constructors.
        const { value } = getOwnPropertyDescriptor(object, keys[i]);
        if (matters(value)) seen.add(value);
      }
    }
    return seen;
  };
  // Taken now, so that what the author adds to an intrinsic later is not frozen with it.
  const names = ownKeys(globalThis).filter((key) => key !== 'globalThis');
  const intrinsics = reachable([...names.map((key) => globalThis[key]), ...hidden.map(getPrototypeOf), ...hidden]);
  intrinsics.delete(globalThis);
  const toClose = [...closedOnly];
  const toFreeze = [...intrinsics].filter((object) => !closedOnly.has(object));
  const NewError = Error;

  // The author's code has run when this is called, and may have replaced every method and iterator: nothing here but the
  // copies above, and arrays by index. Answers whether no object has by birth what printing asks for.
  return () => {
    if (NewError.stackTraceLimit > 50) NewError.stackTraceLimit = 50;
    for (let i = 0; i < toClose.length; i++) preventExtensions(toClose[i]);
    for (let i = 0; i < toFreeze.length; i++) if (!isFrozen(toFreeze[i])) freeze(toFreeze[i]);
    for (let i = 0; i < names.length; i++) {
      const descriptor = getOwnPropertyDescriptor(globalThis, names[i]);
      if (descriptor?.configurable) {
        defineProperty(globalThis, names[i], {
          __proto__: null,
          value: descriptor.value,
          writable: false,
          configurable: false,
        });
      }
    }
    const plain = {};
    return !('toJSON' in plain) && !('then' in plain);
  };
})
