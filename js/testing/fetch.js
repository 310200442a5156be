// Recorded answers for `fetch`, `fetchV2` and `geolocation`: a test sends no requests; a table or a function of the
// test answers them. A request without a recorded answer fails the test: a transformation that ignores the error of a
// request would otherwise continue as if nothing were wrong.
(() => {
  const FORM = '{ status: 200, headers: {}, body: {} } or an Error';
  const FIELDS = ['status', 'headers', 'body', 'url', 'error'];

  /** Converts a test's answer to the form that `js/runtime/network.js` reads. */
  const replyTo = (key, url, reply) => {
    if (Error.isError(reply)) return { error: reply.message };
    const wrong = (what) => new TypeError(`fetch: the answer to ${key} ${what}; it is ${FORM}`);
    if (typeof reply !== 'object' || reply === null) throw wrong(`is ${reply === null ? 'null' : `a ${typeof reply}`}`);
    if (typeof reply.then === 'function') throw wrong('is a promise, which cannot be awaited here');
    for (const field of Object.keys(reply)) if (!FIELDS.includes(field)) throw wrong(`has a field ${field}`);
    if (reply.error !== undefined) return { error: Error.isError(reply.error) ? reply.error.message : String(reply.error) };
    const { status = 200, headers = {}, body = '' } = reply;
    if (!Number.isInteger(status) || status < 100 || status > 999) throw wrong(`has the status ${String(status)}`);
    const lower = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)]);
    return {
      url: reply.url ?? url,
      status,
      headers: Object.fromEntries(lower),
      body: typeof body === 'string' ? body : JSON.stringify(body) ?? '',
    };
  };

  /** The possible keys of a request: a geolocation, or a URL with or without its method. */
  const namesOf = ({ geolocation, method, url }) => {
    if (geolocation !== undefined) return [`geolocation ${geolocation}`];
    return method === 'GET' ? [url, `GET ${url}`] : [`${method} ${url}`, url];
  };

  /**
   * Returns `ask`, which answers requests (both are texts), and `settle`, which throws the errors since then. `add`
   * returns the code with which a test records an answer for a name.
   */
  return (recorded, add) => {
    const isFunction = typeof recorded === 'function';
    if (recorded !== undefined && !isFunction && (typeof recorded !== 'object' || recorded === null)) {
      throw new TypeError(`fetch is a table, { 'https://…': ${FORM} }, or a function of URL and options that gives one`);
    }
    const table = isFunction ? {} : { ...recorded };
    for (const [key, reply] of Object.entries(table)) if (typeof reply !== 'function') replyTo(key, key, reply);
    let wrong;

    const find = (request) => {
      const names = namesOf(request);
      const url = request.url ?? names[0];
      const { method, headers = [], body } = request;
      const call = (answer) => {
        const reply = answer(url, { method, headers: Object.fromEntries(headers), body });
        return reply === undefined ? undefined : replyTo(names[0], url, reply);
      };
      let found;
      if (isFunction) {
        found = call(recorded);
      } else {
        const name = names.find((known) => Object.hasOwn(table, known));
        if (name !== undefined) found = typeof table[name] === 'function' ? call(table[name]) : replyTo(name, url, table[name]);
      }
      if (found !== undefined) return found;
      const called = request.geolocation === undefined ? `${method} ${url}` : names[0];
      const error = new Error(`the transformation asked for ${called}, and no answer to that is recorded; ${add(names[0])}`);
      throw Object.assign(error, { name: 'UnrecordedRequest' });
    };

    const ask = (text) => {
      try {
        return JSON.stringify(find(JSON.parse(text)));
      } catch (error) {
        wrong ??= { error };
        return JSON.stringify({ error: 'no answer to that is recorded' });
      }
    };
    const settle = () => {
      if (wrong !== undefined) throw wrong.error;
    };
    return { ask, settle };
  };
})
