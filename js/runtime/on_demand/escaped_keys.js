// Parses texts with keys that are written with escapes, see `js/runtime/json.js`.
(({ parse, escapedKeys, isArray, keysOf, defineProperty, apply, charCodeAt, isWellFormed, numberText }) => {
  /** Creates an own property, even if the prototype has an accessor or a read-only property of that name. */
  const define = (object, key, value) =>
    defineProperty(object, key, { __proto__: null, value, writable: true, enumerable: true, configurable: true });

  /**
   * Builds the value of a list of `roundtrip::as_lists`: 0 is followed by the keys and values of an object, 1 by the
   * items of an array. It also runs outside the event's window, so it must not call the author's code.
   */
  const built = (list) => {
    if (!isArray(list)) return list;
    const { length } = list;
    if (list[0] === 1) {
      const array = [];
      for (let i = 1; i < length; i++) define(array, i - 1, built(list[i]));
      return array;
    }
    const object = {};
    for (let i = 1; i < length; i += 2) define(object, list[i], built(list[i + 1]));
    return object;
  };

  /** Replaces lone surrogates in a JSON text by escapes, which are equivalent in a string. */
  const wellFormed = (text) => {
    if (isWellFormed(text)) return text;
    let out = '';
    for (let i = 0; i < text.length; i++) {
      const unit = charCodeAt(text, i);
      const alone = unit >= 0xd800 && unit < 0xe000;
      if (!alone) out += text[i];
      else if (unit < 0xdc00 && charCodeAt(text, i + 1) >= 0xdc00 && charCodeAt(text, i + 1) < 0xe000) out += text[i] + text[++i];
      else out += `\\u${numberText(unit, 16)}`;
    }
    return out;
  };

  /** Applies a reviver to a value: from the inside out, as the standard requires. */
  const revived = (holder, name, reviver) => {
    const value = holder[name];
    if (typeof value === 'object' && value !== null) {
      const names = keysOf(value);
      for (let i = 0; i < names.length; i++) {
        const item = revived(value, names[i], reviver);
        if (item === undefined) delete value[names[i]];
        else define(value, names[i], item);
      }
    }
    return apply(reviver, holder, [name, value, {}]);
  };

  /** Parses a text with a backslash, without V8's fault. */
  const parseEscaped = (text, reviver) => {
    const value = parse(text);
    const lists = escapedKeys(wellFormed(text));
    if (lists === undefined) return typeof reviver === 'function' ? parse(text, reviver) : value;
    const meant = built(parse(lists));
    return typeof reviver === 'function' ? revived({ '': meant }, '', reviver) : meant;
  };

  return { built, parseEscaped };
})
