// Prints the properties of `this` as text, deep enough to detect a change. The inspector calls it with a scope, which
// is in a property of `this`, or with the global object.
function () {
  let room = 10000;
  const { getOwnPropertyDescriptor, getOwnPropertyNames } = Object;
  const show = (value, above) => {
    room -= 1;
    if (room < 0) return '…';
    if (typeof value === 'string') return JSON.stringify(value.length > 200 ? `${value.slice(0, 200)}… ${value.length}` : value);
    if (typeof value === 'bigint') return `${value}n`;
    if (typeof value === 'symbol') return value.toString();
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return Object.is(value, -0) ? '-0' : `${value}`;
    if (above.includes(value) || above.length > 8) return '…';
    const inside = [...above, value];
    const parts = [];
    if (value instanceof Map) for (const [key, item] of value) parts.push(`${show(key, inside)} => ${show(item, inside)}`);
    else if (value instanceof Set) for (const item of value) parts.push(show(item, inside));
    else if (value instanceof Date) parts.push(String(value.getTime()));
    else if (value instanceof RegExp) parts.push(`${value} at ${value.lastIndex}`);
    for (const key of getOwnPropertyNames(value)) {
      const { value: item, enumerable } = getOwnPropertyDescriptor(value, key);
      if (enumerable) parts.push(Array.isArray(value) ? show(item, inside) : `${key}: ${show(item, inside)}`);
    }
    if (typeof value === 'function') return parts.length === 0 ? 'a function' : `a function {${parts.join(', ')}}`;
    return Array.isArray(value) ? `[${parts.join(', ')}]` : `{${parts.join(', ')}}`;
  };
  const scope = this === globalThis ? this : this.object;
  const found = {};
  for (const key of getOwnPropertyNames(scope)) {
    if (scope === globalThis && !getOwnPropertyDescriptor(scope, key).enumerable) continue;
    try {
      Object.defineProperty(found, key, { value: show(scope[key], [globalThis]), enumerable: true });
    } catch {
      // Not initialised yet, or a Proxy that throws.
    }
  }
  return found;
}
