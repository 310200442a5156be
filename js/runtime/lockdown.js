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
(() => {
  /** Clocks tell milliseconds, as `Date` does: with finer ones, code could time what it shares a processor with. */
  const coarse = ({ Now, Instant }) => {
    const { now } = Date;
    const uncurry = (method) => Function.prototype.call.bind(method);
    const { fromEpochMilliseconds } = Instant;
    const { timeZoneId } = Now;
    const inZone = uncurry(Instant.prototype.toZonedDateTimeISO);
    const { toPlainDateTime, toPlainDate, toPlainTime } = Temporal.ZonedDateTime.prototype;
    const instant = () => fromEpochMilliseconds(now());
    const zoned = (zone = timeZoneId()) => inZone(instant(), zone);
    const of = (method) => {
      const part = uncurry(method);
      return (zone) => part(zoned(zone));
    };
    const own = {
      instant,
      zonedDateTimeISO: zoned,
      plainDateTimeISO: of(toPlainDateTime),
      plainDateISO: of(toPlainDate),
      plainTimeISO: of(toPlainTime),
    };
    for (const name of ['instant', 'zonedDateTimeISO', 'plainDateTimeISO', 'plainDateISO', 'plainTimeISO']) {
      Object.defineProperty(own[name], 'name', { value: name });
      Object.defineProperty(own[name], 'length', { value: 0 });
      Object.defineProperty(Now, name, { value: own[name], writable: true, configurable: true });
    }
  };

  const allowed = new Set([
    'AggregateError', 'Array', 'ArrayBuffer', 'AsyncDisposableStack', 'BigInt', 'BigInt64Array', 'BigUint64Array',
    'Boolean', 'DataView', 'Date', 'DisposableStack', 'Error', 'EvalError', 'Float16Array', 'Float32Array',
    'Float64Array', 'Function', 'Infinity', 'Int16Array', 'Int32Array', 'Int8Array', 'Intl', 'Iterator', 'JSON', 'Map',
    'Math', 'NaN', 'Number', 'Object', 'Promise', 'Proxy', 'RangeError', 'ReferenceError', 'Reflect', 'RegExp', 'Set',
    'String', 'SuppressedError', 'Symbol', 'SyntaxError', 'Temporal', 'TypeError', 'URIError', 'Uint16Array',
    'Uint32Array', 'Uint8Array', 'Uint8ClampedArray', 'WeakMap', 'WeakSet', 'decodeURI', 'decodeURIComponent',
    'encodeURI', 'encodeURIComponent', 'escape', 'eval', 'globalThis', 'isFinite', 'isNaN', 'parseFloat', 'parseInt',
    'undefined', 'unescape',
  ]);
  const { ownKeys, getPrototypeOf, getOwnPropertyDescriptor, defineProperty } = Reflect;
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
  coarse(Temporal);

  // Intrinsics that no global names.
  const hidden = [
    function* () {}, async function* () {}, async function () {}, [][Symbol.iterator](), new Map().entries(),
    new Set().entries(), ''[Symbol.iterator](), ''.matchAll(/x/g), Iterator.from({ next: () => ({ done: true, value: undefined }) }),
    [].values().map((x) => x), Int8Array,
  ];
  const overridden = new Set([Object.prototype, Function.prototype]);
  for (const name of allowed) {
    const value = globalThis[name];
    if (typeof value === 'function' && (value === Error || getPrototypeOf(value) === Error)) {
      overridden.add(value.prototype);
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
  const toOverride = [...overridden];
  const toFreeze = [...intrinsics].filter((object) => !overridden.has(object));
  const NewError = Error;
  const NewTypeError = TypeError;
  const asText = String;
  const uncurry = (method) => Function.prototype.call.bind(method);
  const add = uncurry(Set.prototype.add);
  const has = uncurry(Set.prototype.has);

  /** Makes an object's properties such that objects which inherit them can have their own. */
  const letOverride = (object) => {
    const keys = ownKeys(object);
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i];
      const own = getOwnPropertyDescriptor(object, key);
      // Of an accessor's descriptor, `value` would be the prototype's.
      if (!own.configurable || !hasOwn(own, 'value') || !own.writable) continue;
      const { value, enumerable } = own;
      add(shared, value);
      defineProperty(object, key, {
        __proto__: null,
        get: () => value,
        set(to) {
          const data = { __proto__: null, value: to, writable: true, enumerable: true, configurable: true };
          // Not in V8's words, by which the engine knows that an override is wanted.
          if (this === object || isShared(this)) throw new NewTypeError(`Cannot change '${asText(key)}', which all code shares`);
          if (!define(this, key, data)) throw new NewTypeError(`Cannot give the object a property '${asText(key)}'`);
        },
        enumerable,
        configurable: false,
      });
    }
  };

  // Functions that are not frozen (see `matters`) could still be given a `call` of their own, by a deep merge for instance.
  const shared = new Set();
  let complete = false;
  const isShared = (value) => {
    if (typeof value !== 'function') return false;
    if (!complete) {
      complete = true;
      addFunctions(toOverride);
      addFunctions(toFreeze);
    }
    return has(shared, value);
  };

  /** Adds the functions that some intrinsics have; what has become an accessor is there already. */
  const addFunctions = (objects) => {
    for (let i = 0; i < objects.length; i++) {
      const keys = ownKeys(objects[i]);
      for (let k = 0; k < keys.length; k++) {
        const own = getOwnPropertyDescriptor(objects[i], keys[k]);
        if (hasOwn(own, 'value')) add(shared, own.value);
        else {
          add(shared, own.get);
          add(shared, own.set);
        }
      }
    }
  };

  /** As assignment does where nothing is inherited: it keeps what the object's own property is otherwise. */
  const define = (object, key, data) => {
    const own = getOwnPropertyDescriptor(object, key);
    if (own === undefined) return defineProperty(object, key, data);
    return hasOwn(own, 'value') && own.writable && defineProperty(object, key, { __proto__: null, value: data.value });
  };

  // The author's code has run when this is called, and may have replaced every method and iterator: nothing here but the
  // copies above, and arrays by index. With `all`, every intrinsic's properties can be overridden. Answers whether no object
  // has by birth what printing asks for.
  return (all) => {
    if (NewError.stackTraceLimit > 50) NewError.stackTraceLimit = 50;
    for (let i = 0; i < toOverride.length; i++) {
      letOverride(toOverride[i]);
      freeze(toOverride[i]);
    }
    for (let i = 0; i < toFreeze.length; i++) {
      if (all) letOverride(toFreeze[i]);
      if (!isFrozen(toFreeze[i])) freeze(toFreeze[i]);
    }
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
