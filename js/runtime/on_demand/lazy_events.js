// Prints lazy events, see the engine's `lazy` module.
(({
  print, printWith, isCycle, isEvent, isArray, getPrototypeOf, keysOf, plainPrototype, probe, lazyPart, newList, listOf, textOf, answer,
}) => {
  /** The text of a value of a lazy event, or undefined if the event must be printed in another way. */
  const piece = (value, flat) => {
    try {
      if (typeof value === 'object' && value !== null && typeof value.toJSON === 'function') return undefined;
      return typeof value === 'object' && value !== null ? print(value, flat) : printWith(value);
    } catch (error) {
      return undefined;
    }
  };

  /** The texts of several values, or undefined if any of them has none. */
  const pieces = (values) => {
    const texts = newList();
    for (let i = 0; i < values.length; i++) {
      const text = piece(values[i]);
      if (text === undefined) return undefined;
      texts[i] = text;
    }
    return texts;
  };

  /**
   * An ordinary object with the properties of a lazy object, and a marker for each value that is still lazy. Undefined if the
   * object must be printed in the plain way. The markers are read from the event one by one, so the author's code cannot see
   * them. `within` has the objects on the path.
   */
  const marked = (event, names, node, within) => {
    if (!isEvent(event) || typeof event.toJSON === 'function' || typeof event.then === 'function') return undefined;
    const keys = keysOf(event);
    const plain = {};
    if (typeof plain.toJSON === 'function') return undefined;
    for (let i = 0; i < keys.length; i++) {
      const name = keys[i];
      // An accessor of `Object.prototype`, perhaps the author's, would be called instead of creating the property.
      if (name in plain) return undefined;
      let at = 0;
      // Usually no property was added or deleted, so the names are at the same indices.
      if (i < names.length && names[i] === name) at = i + 1;
      else for (let n = 0; n < names.length; n++) if (names[n] === name) at = n + 1;
      let value;
      probe[0] = at;
      probe[1] = node;
      try {
        value = event[name];
      } finally {
        probe[0] = 0;
      }
      if (typeof value === 'object' && value !== null) {
        const part = lazyPart(value, name, node);
        if (part === null) return undefined;
        if (typeof part === 'string') value = part;
        else if (part !== undefined) {
          const itsNode = probe[1];
          for (let n = 0; n < within.length; n++) if (within[n] === value) return undefined;
          within[within.length] = value;
          value = marked(value, part, itsNode, within);
          within.length -= 1;
          if (value === undefined) return undefined;
        }
      }
      plain[name] = value;
    }
    return plain;
  };

  /** The text of a lazy event with a marker for each value that is still lazy. Undefined if it must be printed in the plain way. */
  const finishLazy = (event, names) => {
    const plain = marked(event, names, 0, listOf(event));
    if (plain === undefined) return undefined;
    try {
      return textOf(plain);
    } catch (error) {
      // The error must be reported for the event itself.
      if (isCycle(error)) return undefined;
      throw error;
    }
  };

  /** Maximum depth in a result at which parts of the lazy event are detected. */
  const MAX_DEPTH = 2;

  /**
   * A copy of an object with markers for the parts of the lazy event that it contains, or the object itself if it contains none.
   * Undefined if the object must be printed in the plain way. Reads every property, so it is used only for programs without
   * accessors.
   */
  const lifted = (object, depth) => {
    if (typeof object.toJSON === 'function') return undefined;
    const keys = keysOf(object);
    let copy;
    for (let i = 0; i < keys.length; i++) {
      const name = keys[i];
      const value = object[name];
      if (typeof value !== 'object' || value === null || isArray(value)) continue;
      let held = lazyPart(value, depth === 0 ? name : undefined, 0);
      if (held === null) return undefined;
      if (typeof held === 'object') held = marked(value, held, probe[1], listOf(value));
      else if (held === undefined) {
        if (depth === MAX_DEPTH || getPrototypeOf(value) !== plainPrototype) continue;
        held = lifted(value, depth + 1);
      }
      if (held === undefined) return undefined;
      if (held === value) continue;
      copy ??= { ...object };
      copy[name] = held;
    }
    return copy ?? object;
  };

  /** The text of an output that may be the lazy event or contain parts of it, with markers for parts that are still lazy. */
  const partsText = (output, flat) => {
    // A flat value contains no lazy objects.
    if (flat === true) return textOf(output, flat);
    try {
      let plain = lazyPart(output, true, 0);
      if (plain === undefined) plain = getPrototypeOf(output) === plainPrototype ? lifted(output, 0) : null;
      else if (typeof plain === 'object' && plain !== null) plain = marked(output, plain, probe[1], listOf(output));
      if (plain !== undefined && plain !== null) return print(plain);
    } catch {
      // A cycle, a BigInt or a stack overflow. In each case, the error must be reported for the output itself.
    }
    return textOf(output);
  };

  /** `finish` for the result of a lazy event. */
  const finishParts = (result, flat) => answer(result, partsText, flat);

  return { piece, pieces, finishLazy, finishParts };
})
