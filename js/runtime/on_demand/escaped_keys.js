// Parses texts with keys that are written with escapes, see `js/runtime/json.js`.
(({ parse, escapedKeys, isArray, keysOf, defineProperty, apply, charCodeAt, isWellFormed, numberText }) => {
  /** Gives an object a property of its own, whatever its prototype has under that name. */
  const define = (object, key, value) =>
    defineProperty(object, key, { __proto__: null, value, writable: true, enumerable: true, configurable: true });

  /**
   * What a list of `roundtrip::as_lists` stands for: 0 before the keys and values of an object, 1 before an array's. Runs
   * outside the event's window too, so nothing here may reach code of the author's.
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

  /** A text in which surrogates that stand alone are escapes, which mean the same in a string. */
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

  /** What a reviver makes of a value: from the inside out, as the standard has it. */
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

  /** A text with a backslash, parsed without the parser's fault. */
  const parseEscaped = (text, reviver) => {
    const value = parse(text);
    const lists = escapedKeys(wellFormed(text));
    if (lists === undefined) return typeof reviver === 'function' ? parse(text, reviver) : value;
    const meant = built(parse(lists));
    return typeof reviver === 'function' ? revived({ '': meant }, '', reviver) : meant;
  };

  return { built, parseEscaped };
})
