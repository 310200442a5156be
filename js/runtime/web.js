// The globals of the web platform, see `js/web`. Each is created when it is first used: until then it is a getter and
// costs nothing. It is protected at once, so that no event can change it for a later one.
((host, close) => {
  const { onDemand, webNative, seed } = host;
  const { defineProperty } = Object;
  const { ownKeys, getOwnPropertyDescriptor } = Reflect;
  const GROUPS = {
    __proto__: null,
    DOMException: 'errors',
    URL: 'url', URLSearchParams: 'url',
    TextEncoder: 'encoding', TextDecoder: 'encoding', atob: 'encoding', btoa: 'encoding',
    structuredClone: 'clone',
    FinalizationRegistry: 'registry',
    crypto: 'crypto', Crypto: 'crypto', SubtleCrypto: 'crypto',
  };
  const made = { __proto__: null };
  const group = (name) => {
    if (made[name] === undefined) {
      const others = name === 'errors' || name === 'url' || name === 'registry' ? undefined : group('errors');
      const values = onDemand(name)(webNative(), others, seed !== undefined, made);
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
        // Once the modules have loaded, the global is not configurable and stays an accessor.
        const own = getOwnPropertyDescriptor(globalThis, name);
        if (own?.get !== undefined && own.configurable) replace(value);
        return value;
      },
      set: replace,
      enumerable: false,
      configurable: true,
    });
  }
})
