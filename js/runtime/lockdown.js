// What the author's code finds around it, and what it may change there.
//
// Before the code is loaded, everything that is not on the list disappears from the global object: an allowlist, so
// that what a new V8 brings is absent until it was reviewed. While modules load, they may extend the
// prototypes (polyfills do). Once they have loaded, `freeze` ends that: no event can change what a later one meets.
//
// A frozen prototype alone would forbid more than that: an object that inherits a read-only property cannot be assigned
// one of its own ("override mistake"), and real code does that (`this.name = …` in an error class, `date.toJSON = …`,
// TypeScript's generators). So properties become accessors: reading gives the original, assigning through a derived object
// gives it a property of its own. Accessors cost time in every isolate. Hence those of objects, functions and errors
// always are accessors, and all others once an event has failed for want of it, see `Engine::retrying`.
((builtIns) => {
  const allowed = new Set([
    'AggregateError', 'Array', 'ArrayBuffer', 'AsyncDisposableStack', 'BigInt', 'BigInt64Array', 'BigUint64Array',
    'Boolean', 'DataView', 'Date', 'DisposableStack', 'Error', 'EvalError', 'Float16Array', 'Float32Array',
    'Float64Array', 'Function', 'Infinity', 'Int16Array', 'Int32Array', 'Int8Array', 'Intl', 'Iterator', 'JSON', 'Map',
    'Math', 'NaN', 'Number', 'Object', 'Promise', 'Proxy', 'RangeError', 'ReferenceError', 'Reflect', 'RegExp', 'Set',
    'String', 'SuppressedError', 'Symbol', 'SyntaxError', 'Temporal', 'TypeError', 'URIError', 'Uint16Array',
    'Uint32Array', 'Uint8Array', 'Uint8ClampedArray', 'WeakMap', 'WeakRef', 'WeakSet', 'decodeURI', 'decodeURIComponent',
    'encodeURI', 'encodeURIComponent', 'escape', 'eval', 'globalThis', 'isFinite', 'isNaN', 'parseFloat', 'parseInt',
    'undefined', 'unescape',
  ]);
  const { ownKeys, getPrototypeOf, getOwnPropertyDescriptor, defineProperty, preventExtensions } = Reflect;
  const { freeze, hasOwn } = Object;

  for (const key of ownKeys(globalThis)) {
    if (typeof key === 'string' && !allowed.has(key) && !delete globalThis[key]) {
      throw new Error(`the global ${key} cannot be removed`);
    }
  }
  const NewError = Error;
  const NewTypeError = TypeError;
  const asText = String;
  const bigInt = Object(1n);
  const uncurry = (method) => Function.prototype.call.bind(method);
  const add = uncurry(Set.prototype.add);
  const has = uncurry(Set.prototype.has);
  const forEach = uncurry(Array.prototype.forEach);
  // Intrinsics that no global names.
  const hidden = [
    function* () {}, async function* () {}, async function () {}, [][Symbol.iterator](), new Map().entries(),
    new Set().entries(), ''[Symbol.iterator](), ''.matchAll(/x/g), Iterator.from({ next: () => ({ done: true, value: undefined }) }),
    [].values().map((x) => x), Int8Array,
  ];
  const overridden = [Object.prototype, Function.prototype];
  for (const name of allowed) {
    const value = globalThis[name];
    if (typeof value === 'function' && (value === Error || getPrototypeOf(value) === Error)) {
      overridden.push(value.prototype);
    }
  }
  // Making a segmenter only to see what its segments inherit from takes longer than all the rest.
  const { segment } = Intl.Segmenter.prototype;
  const { iterator } = Symbol;
  const call = uncurry(Function.prototype.call);
  let segmentsAreClosed = false;
  Intl.Segmenter.prototype.segment = {
    segment(text) {
      const segments = call(segment, this, text);
      if (!segmentsAreClosed) {
        segmentsAreClosed = true;
        close(getPrototypeOf(segments));
        close(getPrototypeOf(call(getPrototypeOf(segments)[iterator], segments)));
      }
      return segments;
    },
  }.segment;

  /**
   * Everything that can be reached from some objects through properties and prototypes: what leads on, and functions that lead
   * nowhere, of which there are a thousand. Only before the author's code has run.
   */
  const reachable = (roots) => {
    const leading = new Set();
    const functions = [];
    const start = (value) => {
      if (typeof value === 'function' && !hasOwn(value, 'prototype')) functions.push(value);
      else if (typeof value === 'function' || (typeof value === 'object' && value !== null)) leading.add(value);
    };
    for (const root of roots) start(root);
    for (const object of leading) {
      const prototype = getPrototypeOf(object);
      if (prototype !== null) leading.add(prototype);
      const keys = ownKeys(object);
      for (let i = 0; i < keys.length; i++) {
        const { value, get, set } = getOwnPropertyDescriptor(object, keys[i]);
        if (typeof value === 'function') {
          if (hasOwn(value, 'prototype')) leading.add(value);
          else functions.push(value);
        } else if (typeof value === 'object') {
          if (value !== null) leading.add(value);
        } else {
          if (get !== undefined) functions.push(get);
          if (set !== undefined) functions.push(set);
        }
      }
    }
    return { leading, functions };
  };

  /** Makes an object's properties such that objects which inherit them can have their own. */
  const letOverride = (object) => {
    const keys = ownKeys(object);
    for (let i = 0; i < keys.length; i++) letOverrideOne(object, keys[i]);
  };
  const letOverrideOne = (object, key) => {
    const own = getOwnPropertyDescriptor(object, key);
    // Of an accessor's descriptor, `value` would be the prototype's.
    if (!own.configurable || !hasOwn(own, 'value') || !own.writable) return;
    // V8 takes no stacks where this is an accessor.
    if (object === NewError && key === 'stackTraceLimit') return;
    const { value, enumerable } = own;
    const accessors = {
      get: () => value,
      set(to) {
        const data = { __proto__: null, value: to, writable: true, enumerable: true, configurable: true };
        // Not in V8's words, by which the engine knows that an override is wanted.
        if (this === object) throw new NewTypeError(`Cannot change '${asText(key)}', which all code shares`);
        if (!define(this, key, data)) throw new NewTypeError(`Cannot give the object a property '${asText(key)}'`);
      },
    };
    const { get, set } = accessors;
    freeze(get);
    freeze(set);
    defineProperty(object, key, { __proto__: null, get, set, enumerable, configurable: false });
  };

  /** As assignment does where nothing is inherited: it keeps what the object's own property is otherwise. */
  const define = (object, key, data) => {
    const own = getOwnPropertyDescriptor(object, key);
    if (own === undefined) return defineProperty(object, key, data);
    return hasOwn(own, 'value') && own.writable && defineProperty(object, key, { __proto__: null, value: data.value });
  };

  /** Freezes `Error`, but for the one setting that the code may change during an event if it names it. */
  const closeError = () => {
    const keys = ownKeys(NewError);
    for (let i = 0; i < keys.length; i++) {
      const own = getOwnPropertyDescriptor(NewError, keys[i]);
      const open = builtIns.restart !== undefined && keys[i] === 'stackTraceLimit' && hasOwn(own, 'value');
      if (hasOwn(own, 'value')) defineProperty(NewError, keys[i], { __proto__: null, configurable: false, writable: open });
      else defineProperty(NewError, keys[i], { __proto__: null, configurable: false });
    }
    preventExtensions(NewError);
  };

  // What is closed when all modules have loaded, and what has been closed since.
  let known = new Set();

  /**
   * Closes what of the engine's own is made when it is first used: no code can change what can be reached from it, and what
   * inherits from it can have properties of its own. The author's code has run, as for what `ready` answers.
   */
  const close = (value) => {
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null || has(known, value)) return;
    add(known, value);
    const keys = ownKeys(value);
    for (let i = 0; i < keys.length; i++) {
      const own = getOwnPropertyDescriptor(value, keys[i]);
      if (hasOwn(own, 'value')) close(own.value);
      else {
        close(own.get);
        close(own.set);
      }
    }
    close(getPrototypeOf(value));
    letOverride(value);
    freeze(value);
  };

  /**
   * Takes in everything that there is before the author's code runs, `others` beside what globals name: what the author adds
   * to an intrinsic later is not closed with it. Answers the function that closes it.
   */
  const ready = (others) => {
    const names = ownKeys(globalThis);
    const named = [];
    for (const name of names) {
      const { value, get, set } = getOwnPropertyDescriptor(globalThis, name);
      if (value !== globalThis) named.push(value, get, set);
    }
    const roots = [...named, ...hidden.map(getPrototypeOf), ...hidden, ...builtIns.hidden, ...others];
    const { leading, functions } = reachable(roots);
    known = leading;
    return closer(names, [...leading], functions);
  };

  // The author's code has run when this is called, and may have replaced every method and iterator: nothing here but the
  // copies above, and arrays by index. With `all`, every intrinsic's properties can be overridden. Answers whether no object
  // has by birth what printing asks for.
  const closer = (names, leading, functions) => (all) => {
    if (NewError.stackTraceLimit > 50) NewError.stackTraceLimit = 50;
    builtIns.keep();
    const open = all ? leading : overridden;
    for (let i = 0; i < open.length; i++) letOverride(open[i]);
    closeError();
    for (let i = 0; i < leading.length; i++) if (leading[i] !== NewError) freeze(leading[i]);
    forEach(functions, freeze);
    for (let i = 0; i < names.length; i++) {
      const own = getOwnPropertyDescriptor(globalThis, names[i]);
      if (!own?.configurable) continue;
      const closed = hasOwn(own, 'value')
        ? { __proto__: null, value: own.value, writable: false, configurable: false }
        : { __proto__: null, configurable: false };
      defineProperty(globalThis, names[i], closed);
    }
    const plain = {};
    return !('toJSON' in plain) && !('then' in plain) && !('toJSON' in []) && !('toJSON' in bigInt);
  };

  return { close, ready, restart: builtIns.restart };
})
