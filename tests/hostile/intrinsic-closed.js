// tries: whether anything is left that an event could change for a later one; verdict: ok
// with: intrinsics

export function transformEvent(event, metadata) {
  if (!event.hostile) {
    check(event);
    return event;
  }
  const open = [];
  const look = (object, path) => {
    for (const key of Reflect.ownKeys(object)) {
      const own = Reflect.getOwnPropertyDescriptor(object, key);
      const name = `${path}.${String(key)}`;
      if (own.configurable || own.writable) open.push(name);
      if (own.set === undefined) continue;
      // The setter itself must refuse, or change nothing that its getter tells of.
      const read = () => { try { return Reflect.apply(own.get, object, []); } catch { return undefined; } };
      const before = read();
      try { Reflect.apply(own.set, object, [12]); } catch { /* refused */ }
      if (!Object.is(read(), before)) open.push(`set ${name}`);
    }
  };
  const all = intrinsics(event, metadata);
  for (const one of all) {
    if (Object.isExtensible(one)) open.push(pathOf.get(one));
    look(one, pathOf.get(one));
  }
  look(globalThis, 'globalThis');
  if (all.size < 1000) throw new Error(`only ${all.size} were found`);
  if (open.length > 0) throw new Error(`${open.length} of ${all.size} are open: ${open.slice(0, 40).join(', ')}`);
  return event;
}
