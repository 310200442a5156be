// The events of `transformBatch`: which output belongs to which of them. `state.printing` is the place of the printed event in
// its batch.
(({
  isArray, isEvent, mapGet, mapSet, mapForEach, mapDelete, NewMap, eventNumber, newList, listOf, fault, textOf, describe, state,
  BAD_ELEMENT, NOT_AN_ARRAY,
}) => {
  // The batches under way, by the number that the engine gave each; how many there are; and the number of one of them.
  const batches = new NewMap();
  let openBatches = 0;
  let anyBatch;

  /** Records the events of a batch, and their ids before the author can change them. */
  const openBatch = (events, number) => {
    const batch = { indexOf: new NewMap(), indexOfId: new NewMap() };
    mapSet(batches, number, batch);
    openBatches++;
    anyBatch = number;
    for (let i = 0; i < events.length; i++) {
      const event = events[i];
      mapSet(batch.indexOf, event, i);
      const id = event.messageId;
      if (id !== undefined && mapGet(batch.indexOfId, id) === undefined) mapSet(batch.indexOfId, id, i);
    }
  };

  /** The input that an output belongs to: the same object, or else the same messageId, or else that of the previous output. */
  const inputOf = (batch, output, before) =>
    mapGet(batch.indexOf, output) ?? mapGet(batch.indexOfId, output.messageId) ?? before;

  /** What `finishBatch` of the driver returns. */
  const grouped = (results, count, number) => {
    const batch = mapGet(batches, number);
    // What is said of undefined and null is about elements.
    if (results === undefined || results === null) return NOT_AN_ARRAY;
    if (!isArray(results)) return fault(NOT_AN_ARRAY, results);
    const texts = newList();
    const faults = newList();
    for (let i = 0; i < count; i++) texts[i] = faults[i] = undefined;
    const bad = newList();
    let at = 0;
    const { length } = results;
    for (let i = 0; i < length; i++) {
      const element = results[i];
      if (element === undefined && !(i in results)) continue;
      if (!isEvent(element)) {
        bad[bad.length] = i;
        continue;
      }
      at = state.printing = inputOf(batch, element, at);
      let text;
      try {
        text = textOf(element) ?? BAD_ELEMENT;
      } catch (error) {
        text = { thrown: describe(error) };
      }
      if (typeof text !== 'string') faults[at] = text;
      else if (texts[at] === undefined) texts[at] = listOf(text);
      else texts[at][texts[at].length] = text;
    }
    // A value that is not an event has no id: it makes the line at its place fail, or the next one that has no other
    // result.
    const taken = (place) => texts[place] !== undefined || faults[place] !== undefined;
    for (let i = 0; i < bad.length; i++) {
      let place = bad[i] < count ? bad[i] : count - 1;
      for (let n = 0; n < count && taken(place); n++) place = (place + 1) % count;
      faults[place] = BAD_ELEMENT;
    }
    return [texts, faults];
  };

  /** The place of an event in its batch: by the same object, or else the same messageId; 0 without batches. */
  const batchIndex = (event) => {
    if (openBatches === 0) return 0;
    const batch = mapGet(batches, openBatches === 1 ? anyBatch : eventNumber());
    if (batch === undefined) return -1;
    return mapGet(batch.indexOf, event) ?? mapGet(batch.indexOfId, event?.messageId) ?? -1;
  };

  const closeBatch = (number) => {
    if (!mapDelete(batches, number)) return;
    openBatches--;
    if (openBatches > 0 && anyBatch === number) mapForEach(batches, (_, other) => (anyBatch = other));
  };

  return { openBatch, grouped, batchIndex, closeBatch };
})
