// Defines the globals of the author's code, and which of them it may change.
//
// Before the code is loaded, every global that is not on the list is removed: with an allowlist, new features of V8
// stay absent until they are reviewed. While modules load, they may extend prototypes, as polyfills do. Once they have
// loaded, `freeze` ends that: no event can change what a later one uses.
//
// Freezing prototypes alone would forbid more than that: if an object inherits a read-only property, assigning to it
// fails ("override mistake"), and real code does assign (`this.name = …` in an error class, `date.toJSON = …`,
// TypeScript's generators). So properties become accessors: reading gives the original, and assigning through a derived
// object creates an own property. Accessors cost time in every isolate. So only those of objects, functions and errors
// are always accessors; all others become accessors after an event has failed for lack of it, see `Engine::retrying`.
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
  const uncurry = ((method) => Function.prototype.call.bind(method));
  const add = uncurry(Set.prototype.add);
  const has = uncurry(Set.prototype.has);
  const forEach = uncurry(Array.prototype.forEach);
  // Intrinsics without a global name.
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
  // Creating a segmenter only to find the prototype of its segments would take longer than all other code here.
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
   * Finds everything that can be reached from some objects through properties and prototypes: objects that lead to
   * further objects, and about a thousand functions that do not. Must be called before the author's code has run.
   */
  const reachable = ((roots) => {
    const leading = new Set();
    const functions = [];
    const start = ((value) => {
      if (typeof value === 'function' && !hasOwn(value, 'prototype')) functions.push(value);
      else if (typeof value === 'function' || (typeof value === 'object' && value !== null)) leading.add(value);
    });
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
  });

  /**
   * Makes an object's properties overridable: objects that inherit them can have their own. `made` has accessors for
   * some properties.
   */
  const letOverride = ((object, made) => {
    const keys = ownKeys(object);
    for (let i = 0; i < keys.length; i++) letOverrideOne(object, keys[i], made?.[keys[i]]);
  });
  const letOverrideOne = ((object, key, made) => {
    const own = getOwnPropertyDescriptor(object, key);
    // The descriptor of an accessor has no `value` of its own and would inherit one from `Object.prototype`.
    if (!own.configurable || !hasOwn(own, 'value') || !own.writable) return;
    // V8 records no stacks if this is an accessor.
    if (object === NewError && key === 'stackTraceLimit') return;
    const { value, enumerable } = own;
    const { get, set } = made !== undefined && made.value === value ? made : accessors(object, key, value);
    defineProperty(object, key, { __proto__: null, get, set, enumerable, configurable: false });
  });

  /** The accessors that replace a property of an object with this value. */
  const accessors = ((object, key, value) => {
    const { get, set } = {
      get: () => value,
      set(to) {
        const data = { __proto__: null, value: to, writable: true, enumerable: true, configurable: true };
        // The message must differ from V8's: the engine detects by V8's message that an override is needed.
        if (this === object) throw new NewTypeError(`Cannot change '${asText(key)}', which all code shares`);
        define(this, key, data);
      },
    };
    // As in Hardened JavaScript: npm's `get-intrinsic`, which reads descriptors, then uses the value, not the getter.
    defineProperty(get, 'originalValue', { __proto__: null, value });
    freeze(get);
    freeze(set);
    return { __proto__: null, value, get, set };
  });

  /** Accessors for the current properties of an object, by key. Must be called before the author's code has run. */
  const accessorsOf = ((object) => {
    const made = { __proto__: null };
    for (const key of ownKeys(object)) {
      const { value } = getOwnPropertyDescriptor(object, key);
      if (value !== undefined) made[key] = accessors(object, key, value);
    }
    return made;
  });

  const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function';

  /**
   * Assigns a property as if the object inherited none, with V8's errors. If the object has the property, its other
   * attributes are kept.
   */
  const define = (object, key, data) => {
    if (!isObject(object)) {
      throw new NewTypeError(`Cannot create property '${asText(key)}' on ${typeof object} '${asText(object)}'`);
    }
    const own = getOwnPropertyDescriptor(object, key);
    if (own === undefined) {
      if (defineProperty(object, key, data)) return;
      throw new NewTypeError(`Cannot add property ${asText(key)}, object is not extensible`);
    }
    const assigned = hasOwn(own, 'value') && own.writable && defineProperty(object, key, { __proto__: null, value: data.value });
    // The message must differ from V8's, as above.
    if (!assigned) throw new NewTypeError(`Cannot give the object a property '${asText(key)}'`);
  };

  /** Freezes `Error`, except for `stackTraceLimit` if the code mentions it: then it may change it during an event. */
  const closeError = (() => {
    const keys = ownKeys(NewError);
    for (let i = 0; i < keys.length; i++) {
      const own = getOwnPropertyDescriptor(NewError, keys[i]);
      const open = builtIns.restart !== undefined && keys[i] === 'stackTraceLimit' && hasOwn(own, 'value');
      if (hasOwn(own, 'value')) defineProperty(NewError, keys[i], { __proto__: null, configurable: false, writable: open });
      else defineProperty(NewError, keys[i], { __proto__: null, configurable: false });
    }
    preventExtensions(NewError);
  });

  // The objects that are frozen when all modules have loaded, and those that have been frozen since.
  let known = new Set();

  /**
   * Protects an object of the engine that is created at its first use: no code can change anything that can be reached
   * from it, and objects that inherit from it can have their own properties. The author's code has run by then, so this
   * uses only the copies above, as the function that `ready` returns does.
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
   * Records everything that exists before the author's code runs: the objects of globals, and `others`. Values that the
   * author's code later adds to an intrinsic are not frozen with it. Returns the function that freezes.
   */
  const ready = ((others) => {
    const names = ownKeys(globalThis);
    const named = [];
    for (const name of names) {
      const { value, get, set } = getOwnPropertyDescriptor(globalThis, name);
      if (value !== globalThis) named.push(value, get, set);
    }
    const roots = [...named, ...hidden.map(getPrototypeOf), ...hidden, ...builtIns.hidden, ...others];
    const { leading, functions } = reachable(roots);
    known = leading;
    return closer(names, [...leading], functions, overridden.map(accessorsOf));
  });

  // The author's code has run when this is called, and may have replaced every method and iterator, so this uses only
  // the copies above, and arrays by index. With `all`, every intrinsic's properties can be overridden. Returns whether
  // no object inherits a property that printing uses.
  const closer = ((names, leading, functions, made) => ((all) => {
    if (NewError.stackTraceLimit > 50) NewError.stackTraceLimit = 50;
    builtIns.keep();
    for (let i = 0; i < overridden.length; i++) letOverride(overridden[i], made[i]);
    if (all) for (let i = 0; i < leading.length; i++) letOverride(leading[i]);
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
  }));

  return { close, ready, restart: builtIns.restart };
})
