// A print plan keeps a changed event on the faster one of V8's two stringifiers.
//
// The fast one gives up at a string that was concatenated from others and at an object with a deleted key, and the slow
// one starts from the beginning. The places of such values are mostly the same for all events of a program. So `learn`
// compares the output with the input, and `planned` copies an event along the paths that it found: the same keys and
// values in the same order, but with flat strings and without objects that have lost a key. The author's objects are
// not changed.
//
// A copy reads every property once, as printing does, and copies only plain objects. It does change the order in which
// code of the author runs while an event is printed; programs with such code (accessors, `toJSON`, Proxies) get no
// plan, see the engine's print_plan.rs. This file is compiled at the first call of `learn`.
(({ parse, isArray, hasOwn, keys, getPrototypeOf, setPrototypeOf, plainPrototype, join }) => {
  /** V8 concatenates shorter strings at once, by copying them. */
  const MIN_JOINED = 13;
  const MAX_DEPTH = 8;
  const MAX_EDITS = 24;

  // A node describes an object: whether it loses keys, and which of its keys lead to a changed string (no node) or to
  // an object with its own edits (a node). The lists have no prototype, so that growing them never uses anything that
  // the author put on `Array.prototype`.
  const newList = () => setPrototypeOf([], null);
  const newNode = () => ({ losesKeys: false, names: newList(), nodes: newList() });

  let plan = newNode();
  let edits = 0;

  const isObject = (value) => typeof value === 'object' && value !== null && !isArray(value);

  const note = (node, name, child) => {
    const { names, nodes } = node;
    let at = 0;
    while (at < names.length && names[at] !== name) at++;
    if (at === names.length) {
      edits++;
      names[at] = name;
      nodes[at] = child;
    } else if (child !== undefined) nodes[at] = child;
  };

  const known = (node, name) => {
    for (let i = 0; i < node.names.length; i++) if (node.names[i] === name) return node.nodes[i];
    return undefined;
  };

  const compare = (node, before, after, depth) => {
    const old = keys(before);
    for (let i = 0; i < old.length && !node.losesKeys; i++) {
      if (hasOwn(after, old[i])) continue;
      node.losesKeys = true;
      edits++;
    }
    const names = keys(after);
    for (let i = 0; i < names.length; i++) {
      const name = names[i];
      if (name in plainPrototype) continue;
      const value = after[name];
      const was = hasOwn(before, name) ? before[name] : undefined;
      if (typeof value === 'string') {
        if (value.length >= MIN_JOINED && value !== was) note(node, name, undefined);
      } else if (isObject(value) && depth < MAX_DEPTH) {
        const child = known(node, name) ?? newNode();
        compare(child, isObject(was) ? was : {}, value, depth + 1);
        if (child.losesKeys || child.names.length > 0) note(node, name, child);
      }
    }
  };

  /** Learns from a line and its output. Both are texts, so no object of the author is read. */
  const learn = (line, text) => {
    if (edits > MAX_EDITS) return;
    compare(plan, parse(line), parse(text), 0);
    // Too many edits: for example, keys that differ from event to event, or an event that is built from scratch.
    if (edits > MAX_EDITS) plan = newNode();
  };

  const forget = () => {
    plan = newNode();
    edits = 0;
  };

  /** The number of known edits; zero also if there were too many. */
  const planSize = () => (edits > MAX_EDITS ? 0 : edits);

  const copied = (node, object) => {
    let copy;
    if (node.losesKeys) {
      // A spread of an object with a deleted key would be as slow as the object.
      copy = {};
      const all = keys(object);
      for (let i = 0; i < all.length; i++) {
        const name = all[i];
        if (name in copy) return undefined; // an inherited property, which might have a setter
        copy[name] = object[name];
      }
    } else {
      copy = { ...object };
    }
    if (typeof copy.toJSON === 'function') return undefined;
    const { names, nodes } = node;
    for (let i = 0; i < names.length; i++) {
      const name = names[i];
      const held = copy[name];
      if (typeof held === 'string') {
        if (held.length >= MIN_JOINED) copy[name] = join([held, ''], '');
      } else if (nodes[i] !== undefined && typeof held === 'object' && held !== null) {
        if (getPrototypeOf(held) !== plainPrototype) continue;
        if ((copy[name] = copied(nodes[i], held)) === undefined) return undefined;
      }
    }
    return copy;
  };

  /** A copy of the event that prints the same text, but faster; or undefined. */
  const planned = (event) => (getPrototypeOf(event) === plainPrototype ? copied(plan, event) : undefined);

  return { learn, forget, planSize, planned };
})
