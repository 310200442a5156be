// `structuredClone` of the HTML standard: a deep copy of data, with cycles.
(({ isNoData, isOrdinary }, { DOMException }, _seeded, groups) => {
  const { getPrototypeOf, defineProperty } = Object;
  const ERRORS = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
  const typedArray = getPrototypeOf(Uint8Array);
  const kindOfView = Object.getOwnPropertyDescriptor(typedArray.prototype, Symbol.toStringTag).get;

  /** Calls a method that only objects of one kind have; `undefined` if this is another kind. */
  const brand = (method, value) => {
    try {
      return method.call(value);
    } catch {
      return undefined;
    }
  };
  const sizeOfMap = Object.getOwnPropertyDescriptor(Map.prototype, 'size').get;
  const sizeOfSet = Object.getOwnPropertyDescriptor(Set.prototype, 'size').get;
  const lengthOfBuffer = Object.getOwnPropertyDescriptor(ArrayBuffer.prototype, 'byteLength').get;
  const detachedOf = Object.getOwnPropertyDescriptor(ArrayBuffer.prototype, 'detached').get;
  const isDetached = (buffer) => detachedOf.call(buffer);
  const sourceOf = Object.getOwnPropertyDescriptor(RegExp.prototype, 'source').get;

  const transferOf = ArrayBuffer.prototype.transfer;

  const nameOf = (value) => {
    const name = value.constructor?.name;
    return `#<${typeof name === 'string' ? name : 'Object'}>`;
  };

  const refuse = (what) => {
    throw new DOMException(`${what} could not be cloned.`, 'DataCloneError');
  };

  /** Whether a value is an instance of a web platform class, which here is written in JavaScript. */
  const isPlatform = (value) => {
    const { url, encoding, registry, crypto } = groups;
    const classes = [
      DOMException, url?.URL, url?.URLSearchParams, encoding?.TextEncoder, encoding?.TextDecoder, registry?.FinalizationRegistry,
      crypto?.Crypto, crypto?.SubtleCrypto,
    ];
    for (const one of classes) if (one !== undefined && value instanceof one) return true;
    return false;
  };

  const put = (target, key, value) =>
    defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });

  const structuredClone = function structuredClone(input, options = undefined) {
    if (arguments.length === 0) throw new TypeError('structuredClone needs a value');
    const seen = new Map();

    const properties = (value, copy) => {
      for (const key of Object.keys(value)) put(copy, key, clone(value[key]));
      return copy;
    };

    const error = (value) => {
      const name = `${value.name}`;
      const Made = Object.hasOwn(ERRORS, name) ? ERRORS[name] : Error;
      const copy = Object.create(Made.prototype);
      const made = new Made();
      seen.set(value, made);
      Object.setPrototypeOf(made, getPrototypeOf(copy));
      for (const key of ['message', 'stack', 'cause']) {
        const own = Object.getOwnPropertyDescriptor(value, key);
        if (own !== undefined && 'value' in own) {
          const content = key === 'cause' ? clone(own.value) : `${own.value}`;
          defineProperty(made, key, { value: content, writable: true, enumerable: false, configurable: true });
        } else if (key === 'stack' && own !== undefined) {
          defineProperty(made, key, { value: `${value.stack}`, writable: true, enumerable: false, configurable: true });
        }
      }
      return made;
    };

    const special = (value) => {
      const keep = (copy) => {
        seen.set(value, copy);
        return copy;
      };
      const time = brand(Date.prototype.getTime, value);
      if (time !== undefined) return keep(new Date(time));
      if (brand(sizeOfMap, value) !== undefined) {
        const copy = keep(new Map());
        for (const [key, content] of [...Map.prototype.entries.call(value)]) copy.set(clone(key), clone(content));
        return copy;
      }
      if (brand(sizeOfSet, value) !== undefined) {
        const copy = keep(new Set());
        for (const content of [...Set.prototype.values.call(value)]) copy.add(clone(content));
        return copy;
      }
      if (brand(lengthOfBuffer, value) !== undefined) {
        if (isDetached(value)) refuse('An ArrayBuffer that is detached');
        return keep(ArrayBuffer.prototype.slice.call(value, 0));
      }
      if (ArrayBuffer.isView(value)) {
        const buffer = clone(value.buffer);
        const kind = kindOfView.call(value);
        if (kind === undefined) return keep(new DataView(buffer, value.byteOffset, value.byteLength));
        return keep(new globalThis[kind](buffer, value.byteOffset, /** @type {Uint8Array} */ (value).length));
      }
      if (value instanceof DOMException) return keep(new DOMException(value.message, value.name));
      if (Error.isError(value)) return error(value);
      const boxed = brand(Number.prototype.valueOf, value) ?? brand(String.prototype.valueOf, value) ?? brand(Boolean.prototype.valueOf, value) ?? brand(BigInt.prototype.valueOf, value);
      if (boxed !== undefined) return keep(Object(boxed));
      const prototype = getPrototypeOf(value);
      if (prototype !== RegExp.prototype && brand(sourceOf, value) !== undefined && Object.prototype.toString.call(value) === '[object RegExp]') {
        return keep(new RegExp(value.source, value.flags));
      }
      if (prototype === RegExp.prototype) return keep(new RegExp(value.source, value.flags));
      return refuse(nameOf(value));
    };

    const clone = (value) => {
      if (typeof value === 'function') refuse(`${value}`.slice(0, 100));
      if (typeof value === 'symbol') refuse(String(value));
      if (typeof value !== 'object' || value === null) return value;
      const known = seen.get(value);
      if (known !== undefined) return known;
      // Proxies, generators and similar objects, which only V8 can distinguish from others.
      if (isNoData(value)) refuse('#<Object>');
      if (Array.isArray(value)) {
        const copy = new Array(value.length);
        seen.set(value, copy);
        return properties(value, copy);
      }
      const prototype = getPrototypeOf(value);
      if (prototype !== Object.prototype && (!isOrdinary(value) || isPlatform(value))) return special(value);
      const copy = {};
      seen.set(value, copy);
      return properties(value, copy);
    };

    const transfer = options?.transfer === undefined ? [] : [...options.transfer];
    const unique = new Set();
    for (const item of transfer) {
      if (brand(lengthOfBuffer, item) === undefined) refuse('a value that is no ArrayBuffer, in transfer,');
      if (unique.has(item)) refuse('An ArrayBuffer that is twice in transfer');
      unique.add(item);
    }
    const copy = clone(input);
    // A getter may have detached a buffer. All buffers are checked first, because a failed call must detach none.
    for (const item of transfer) if (isDetached(item)) refuse('An ArrayBuffer that is detached');
    for (const item of transfer) transferOf.call(item);
    return copy;
  };
  return { structuredClone };
})
