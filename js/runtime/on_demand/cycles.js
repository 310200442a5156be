// Finds cycles in objects, see `js/runtime/json.js`.
(({ keysOf, setPrototypeOf, slice, NewSet, setHas, setAdd, setDelete }) => {
  const MAX_PATH = 200;

  /** A list without a prototype: nothing that the author puts on `Array.prototype` affects it. */
  const newList = () => setPrototypeOf([], null);

  /** Whether a value has no cycle, as far as its properties show. Not recursive, so any depth is allowed. */
  const isAcyclic = (value) => {
    const open = new NewSet();
    const done = new NewSet();
    const around = newList();
    let depth = 0;
    const enter = (object) => {
      setAdd(open, object);
      around[depth++] = { object, names: keysOf(object), at: 0 };
    };
    enter(value);
    while (depth > 0) {
      const here = around[depth - 1];
      if (here.at === here.names.length) {
        setDelete(open, here.object);
        setAdd(done, here.object);
        depth--;
        continue;
      }
      const item = here.object[here.names[here.at++]];
      if (typeof item !== 'object' || item === null || setHas(done, item)) continue;
      if (setHas(open, item)) return false;
      enter(item);
    }
    return true;
  };

  /** Describes the first cycle; undefined if the properties show none. */
  const cycleIn = (value, path, open) => {
    open[open.length] = value;
    path[path.length] = '';
    const names = keysOf(value);
    for (let i = 0; i < names.length; i++) {
      const item = value[names[i]];
      if (typeof item !== 'object' || item === null) continue;
      path[path.length - 1] = names[i];
      for (let n = 0; n < open.length; n++) {
        if (open[n] === item) return `${pathText(path, path.length)} is ${n === 0 ? 'the object itself' : pathText(path, n)}`;
      }
      const found = cycleIn(item, path, open);
      if (found !== undefined) return found;
    }
    open.length -= 1;
    path.length -= 1;
    return undefined;
  };

  const pathText = (path, length) => {
    let text = '';
    for (let i = 0; i < length; i++) text += i === 0 ? path[i] : `.${path[i]}`;
    return text.length > MAX_PATH ? `${slice(text, 0, MAX_PATH)}\u2026` : text;
  };

  const cycleOf = (value) => cycleIn(value, newList(), newList());

  return { isAcyclic, cycleOf };
})
