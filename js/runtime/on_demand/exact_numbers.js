// Records and prints numbers that JavaScript can't hold. `carried` has their texts in the line, by the object or array
// that contained them, then by key. `state.printing` is the index in its batch of the event that is being printed.
(({
  parse, rawJSON, isArray, hasOwn, isFinite, asText, bigintText, includes, mapGet, mapSet, mapForEach, weakGet, weakSet, NewMap,
  carried, watchNumber, numberMoved, textLeaves, state,
}) => {
  /** From here on, doubles are further apart than integers. */
  const FIRST_UNSAFE = 2 ** 53;

  /**
   * Records the numbers of an event that JavaScript may not hold. `list` is a JSON array of arrays, each with the keys
   * on the path to a number and its text, see the engine's `roundtrip::unsafe_numbers`. With `watched`, reads of the
   * numbers are recorded, see its unsafe_reads.
   */
  const carry = (event, list, watched) => {
    const numbers = parse(list);
    for (let n = 0; n < numbers.length; n++) {
      const path = numbers[n];
      const last = path.length - 2;
      let holder = event;
      // If a key appears twice in the line, the path may lead to another value, or to none.
      for (let i = 0; i < last && typeof holder === 'object' && holder !== null; i++) {
        holder = hasOwn(holder, path[i]) ? holder[path[i]] : undefined;
      }
      if (typeof holder !== 'object' || holder === null || !hasOwn(holder, path[last])) continue;
      const text = path[last + 1];
      if (holder[path[last]] !== +text) continue;
      let texts = weakGet(carried, holder);
      if (texts === undefined) weakSet(carried, holder, (texts = new NewMap()));
      mapSet(texts, path[last], text);
      if (watched) watchNumber(holder, path[last], path);
    }
  };

  /**
   * The text of a number in the line, if the number is still in its place, or was moved within its array; or undefined.
   */
  const carriedText = (holder, key, value) => {
    const texts = weakGet(carried, holder);
    if (texts === undefined) return undefined;
    const text = mapGet(texts, key);
    if (text !== undefined && +text === value) return text;
    // In an array it may be at another index now. Smaller numbers may be different ones: 0 and 1e-400 have the same
    // double.
    if (!isArray(holder) || (value < FIRST_UNSAFE && value > -FIRST_UNSAFE)) return undefined;
    let found;
    mapForEach(texts, (other) => {
      if (+other === value) found = found === undefined || found === other ? other : null;
    });
    // To move the number, the code must have read it.
    if (typeof found === 'string') numberMoved(value, state.printing);
    return found ?? undefined;
  };

  // A marker: a notation that hardly any line uses. The engine's restore.rs has the same one.
  const INFINITE = '1e+0999';

  // Prints numbers that JavaScript can't hold with the line's digits. A value that is infinite and otherwise unknown
  // gets a marker, so that the engine can restore the line's number.
  function exactNumbers(key, value) {
    if (typeof value === 'bigint') return rawJSON(`${bigintText(value)}e0`);
    if (typeof value === 'string' && value.length > 15) textLeaves(value, state.printing);
    if (typeof value !== 'number') return value;
    const text = carriedText(this, key, value);
    if (text !== undefined) {
      const printed = asText(value);
      if (text !== printed) return rawJSON(text);
      // A number with an exponent can't be marked, but no other number of a line is likely to have the same double.
      return includes(printed, 'e') ? value : rawJSON(`${text}e0`);
    }
    if (value >= FIRST_UNSAFE || value <= -FIRST_UNSAFE) numberMoved(value, state.printing);
    if (!isFinite(value) && value === value) return rawJSON(value > 0 ? INFINITE : `-${INFINITE}`);
    return value;
  }

  return { carry, exactNumbers };
})
