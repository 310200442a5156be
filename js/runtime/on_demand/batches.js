// Assigns the outputs of `transformBatch` to its events. `state.printing` is the index in its batch of the event that
// is being printed.
(({
  isArray, isEvent, mapGet, mapSet, mapForEach, mapDelete, NewMap, eventNumber, newList, listOf, fault, textOf, describe, state,
  BAD_ELEMENT, NOT_AN_ARRAY,
}) => {
  // The open batches by their numbers, which the engine assigns; the number of open batches; the number of any open
  // one.
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

  /** The input of an output: the same object, or else the same messageId, or else the input of the previous output. */
  const inputOf = (batch, output, before) =>
    mapGet(batch.indexOf, output) ?? mapGet(batch.indexOfId, output.messageId) ?? before;

  /** The result of the driver's `finishBatch`. */
  const grouped = (results, count, number) => {
    const batch = mapGet(batches, number);
    // The help texts for undefined and null are about elements of an array, so the kind is not reported here.
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
    // A value that is not an event has no id. It makes the event at its index fail, or the next event without a result.
    const taken = (place) => texts[place] !== undefined || faults[place] !== undefined;
    for (let i = 0; i < bad.length; i++) {
      let place = bad[i] < count ? bad[i] : count - 1;
      for (let n = 0; n < count && taken(place); n++) place = (place + 1) % count;
      faults[place] = BAD_ELEMENT;
    }
    return [texts, faults];
  };

  /** The index of an event in its batch, by object, or else by messageId; 0 without batches, -1 if unknown. */
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
