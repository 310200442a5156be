// The globals of the web platform that code may count on, see `js/web`. Each is made when it is first used: until then it
// is a getter, and costs nothing. What is made is frozen, so that no event changes it for a later one.
((host) => {
  const { webGroup, webNative, seed } = host;
  const { freeze, defineProperty } = Object;
  const NewTypeError = TypeError;
  const asText = String;
  const { ownKeys, getOwnPropertyDescriptor } = Reflect;
  const GROUPS = {
    __proto__: null,
    DOMException: 'errors',
    URL: 'url', URLSearchParams: 'url',
    TextEncoder: 'encoding', TextDecoder: 'encoding', atob: 'encoding', btoa: 'encoding',
    structuredClone: 'clone',
    crypto: 'crypto', Crypto: 'crypto', SubtleCrypto: 'crypto',
  };
  const made = { __proto__: null };
  const allowOwn = (prototype, key) => {
    const own = getOwnPropertyDescriptor(prototype, key);
    if (!own.configurable || !own.writable) return;
    const { value } = own;
    defineProperty(prototype, key, {
      __proto__: null,
      get: () => value,
      set(replacement) {
        if (this === prototype) throw new NewTypeError(`Cannot assign to read only property '${asText(key)}'`);
        defineProperty(this, key, { __proto__: null, value: replacement, writable: true, enumerable: true, configurable: true });
      },
      enumerable: own.enumerable,
      configurable: false,
    });
  };
  const close = (value) => {
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return;
    const { prototype } = value;
    if (prototype) {
      // Methods are accessors that give them: what inherits from the prototype can have properties of these names.
      const keys = ownKeys(prototype);
      for (let i = 0; i < keys.length; i++) allowOwn(prototype, keys[i]);
      freeze(prototype);
    }
    const keys = ownKeys(value);
    for (let i = 0; i < keys.length; i++) allowOwn(value, keys[i]);
    freeze(value);
  };
  const group = (name) => {
    if (made[name] === undefined) {
      const others = name === 'errors' || name === 'url' ? undefined : group('errors');
      const values = webGroup(name)(webNative(), others, seed !== undefined);
      const keys = ownKeys(values);
      for (let i = 0; i < keys.length; i++) close(values[keys[i]]);
      made[name] = values;
    }
    return made[name];
  };
  const names = ownKeys(GROUPS);
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    const replace = (value) =>
      defineProperty(globalThis, name, { __proto__: null, value, writable: true, enumerable: false, configurable: true });
    defineProperty(globalThis, name, {
      __proto__: null,
      get() {
        const value = group(GROUPS[name])[name];
        if (getOwnPropertyDescriptor(globalThis, name)?.get !== undefined) replace(value);
        return value;
      },
      set: replace,
      enumerable: false,
      configurable: true,
    });
  }
})
