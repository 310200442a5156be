// tries: own properties by every name that an object inherits; verdict: ok
// with: intrinsics

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
