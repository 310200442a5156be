// `fetch`, `fetchV2` and `geolocation`. A request leaves the isolate as JSON text, and its answer comes back as JSON
// text; the engine handles the rest. Unless the operator allows it, every request fails. The functions always exist, so
// that a transformation can handle that as an ordinary error.
//
// Out: `{url, method, headers: [[name, value]], body, timeout, redirect, follow}` or `{geolocation: ip}`.
// In: `{url, status, headers, body}`, the body as text, or `{error, whole}`: `whole` says whether the error is a
// complete message.
((host) => {
  const { request, access, onDemand } = host;
  const { parse, stringify } = JSON;
  const { isError } = Error;
  const NewError = Error;
  const asText = String;
  const uncurry = ((method) => Function.prototype.call.bind(method));
  const copies = {
    stringify, isArray: Array.isArray, keys: Object.keys, setPrototypeOf: Object.setPrototypeOf, NewTypeError: TypeError, asText,
    toInt: parseInt, toNumber: Number, iterator: Symbol.iterator, call: uncurry(Function.prototype.call),
    test: uncurry(RegExp.prototype.test), exec: uncurry(RegExp.prototype.exec),
    upper: uncurry(String.prototype.toUpperCase), trim: uncurry(String.prototype.trim), slice: uncurry(String.prototype.slice),
    split: uncurry(String.prototype.split), indexOf: uncurry(String.prototype.indexOf),
    lastIndexOf: uncurry(String.prototype.lastIndexOf),
  };
  let requestsCode;
  const requests = () => (requestsCode ??= onDemand('requests')(copies));
  const OFF = 'network access is off, --allow-net names the hosts that may be asked';

  /** The answer to a request, with the body as text; throws with a message that names the URL. */
  const ask = async (url, options) => {
    let name = 'the given URL';
    let reason = OFF;
    let whole = false;
    try {
      if (url === undefined || url === null) {
        reason = 'fetch url is required';
        whole = true;
      } else {
        const text = requests().urlOf(url);
        name = requests().shown(text);
        if (access.fetch) {
          const answer = parse(await request(requests().messageOf(text, options)));
          if (answer.error === undefined) return answer;
          reason = answer.error;
          whole = answer.whole === true;
        }
      }
    } catch (error) {
      reason = isError(error) ? asText(error.message) : asText(error);
    }
    throw new NewError(whole ? reason : `request to ${name} failed, reason: ${reason}`);
  };

  const fetch = async (url, options) => {
    try {
      const answer = await ask(url, options);
      try {
        return parse(answer.body);
      } catch {
        const name = requests().shown(requests().urlOf(url));
        throw new NewError(`request to ${name} failed, reason: the answer (status ${answer.status}) is not JSON`);
      }
    } catch (error) {
      if (access.strict) throw error;
      return 'ERROR';
    }
  };

  const fetchV2 = async (url, options) => {
    const answer = await ask(url, options);
    try {
      answer.body = parse(answer.body);
    } catch {
      // Not JSON: the body stays text.
    }
    return answer;
  };

  const geolocation = async (ip) => {
    if (ip === undefined || ip === null || ip === '') throw new NewError('ip address is required');
    if (typeof ip !== 'string' || !requests().isAddress(ip)) throw new NewError('invalid ip address');
    if (!access.geolocation) throw new NewError('geolocation is not available right now');
    const answer = parse(await request(stringify({ geolocation: ip })));
    if (answer.error !== undefined) throw new NewError(`geolocation is not available right now: ${answer.error}`);
    if (answer.status !== 200) throw new NewError(`request to fetch geolocation failed with status code: ${answer.status}`);
    try {
      return parse(answer.body);
    } catch {
      throw new NewError('the answer of the geolocation service is not JSON');
    }
  };

  return { fetch, fetchV2, geolocation };
})
