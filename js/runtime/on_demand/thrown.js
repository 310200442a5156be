// The messages of thrown values.
(({ print, isArray, isError, asText, slice, NewError }) => {
  /** The most characters of an error's text that are kept. */
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

  /** The most causes, and the most errors of an AggregateError, that are reported. */
  const MAX_RELATED = 5;

  const oneLine = (value) =>
    isError(value) ? `${read(value, 'name', cut) ?? 'Error'}: ${read(value, 'message', cut) ?? ''}` : cut(asText(value));

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

  /** The JSON text of an object that was thrown. */
  const jsonOf = (thrown) => {
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
    let text;
    try {
      text = cut(asText(thrown));
    } catch {
      text = 'a value was thrown that cannot be turned into a string';
    }
    return [undefined, text, undefined, text === '[object Object]' ? jsonOf(thrown) : undefined];
  };

  return { describe };
})
