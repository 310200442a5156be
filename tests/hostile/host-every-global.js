// tries: walking from every global to something of the host; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const seen = new Set();
  const walk = (o, path) => {
    if ((typeof o !== 'object' && typeof o !== 'function') || o === null || seen.has(o)) return;
    seen.add(o);
    for (const key of Reflect.ownKeys(o)) {
      if (/^(op_|ops$|core$|internal|__)/.test(String(key)) && !/^__(proto__|define|lookup)/.test(String(key))) throw new Error(path + String(key));
      const d = Reflect.getOwnPropertyDescriptor(o, key);
      walk(d.value, path + String(key) + '.');
      walk(d.get, path + String(key) + '.');
    }
    walk(Reflect.getPrototypeOf(o), path + '^.');
  };
  if (!event.walked) walk(log, 'log.');
  walk(getCredential, 'getCredential.');
  walk(metadata, 'metadata.');
  return event;
}
