// The messages of thrown values.
(({ print, isArray, isError, asText, slice, includes, NewError }) => {
  /** The maximum length of an error's text, in characters. */
  const MAX_ERROR_TEXT = 32768;

  const cut = (text) =>
    text.length > MAX_ERROR_TEXT ? `${slice(text, 0, MAX_ERROR_TEXT)}\u2026 (${text.length - MAX_ERROR_TEXT} more)` : text;

  // The frames are at the end of a stack.
  const tail = (text) => (text.length > MAX_ERROR_TEXT ? slice(text, text.length - MAX_ERROR_TEXT) : text);

  const read = (object, key, shorten) => {
    try {
      const value = object[key];
      return typeof value === 'string' ? shorten(value) : undefined;
    } catch {
      return undefined;
    }
  };

  /** The maximum number of causes, and of errors of an AggregateError, that are reported. */
  const MAX_RELATED = 5;

  const oneLine = (value) => {
    if (isError(value)) return `${read(value, 'name', cut) ?? 'Error'}: ${read(value, 'message', cut) ?? ''}`;
    const text = textOfThrown(value);
    return jsonOf(value, text) ?? text ?? NO_TEXT;
  };

  /** The errors in an error, and its causes. */
  const related = (error) => {
    let text = '';
    try {
      const { errors } = error;
      const count = isArray(errors) ? errors.length : 0;
      for (let i = 0; i < count && i < MAX_RELATED; i++) text += `${text && '; '}with ${oneLine(errors[i])}`;
      let { cause } = error;
      for (let i = 0; cause !== undefined && cause !== null && i < MAX_RELATED; i++) {
        text += `${text && '; '}caused by ${oneLine(cause)}`;
        cause = isError(cause) ? cause.cause : undefined;
      }
    } catch {
      // A property whose getter or Proxy throws is left out.
    }
    return text === '' ? undefined : text;
  };

  const NO_TEXT = 'a value was thrown that cannot be turned into a string';

  /** The text of a value that is not an error; undefined if it can't be converted. */
  const textOfThrown = (value) => {
    try {
      return cut(asText(value));
    } catch {
      return undefined;
    }
  };

  /** The JSON text of a thrown object, if its own text does not show its contents. */
  const jsonOf = (thrown, text) => {
    if (typeof thrown !== 'object' || thrown === null) return undefined;
    if (text !== undefined && !includes(text, '[object Object]')) return undefined;
    try {
      return cut(print(thrown));
    } catch {
      return undefined;
    }
  };

  /**
   * `[name, message, stack, more]` of any thrown value, see the engine's `Thrown`. Runs getters, so it must run inside
   * the event's window.
   */
  const describe = (thrown) => {
    let error = false;
    try {
      error = isError(thrown) || thrown instanceof NewError;
    } catch {
      // A Proxy that throws when it is examined.
    }
    if (error) {
      const name = read(thrown, 'name', cut) ?? 'Error';
      const message = read(thrown, 'message', cut) ?? '';
      return [name, message, read(thrown, 'stack', tail), related(thrown)];
    }
    const text = textOfThrown(thrown);
    return [undefined, text ?? NO_TEXT, undefined, jsonOf(thrown, text)];
  };

  return { describe };
})
