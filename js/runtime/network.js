// `fetch`, `fetchV2` and `geolocation`. A request leaves the isolate as JSON text, and its answer comes back as JSON
// text; the engine handles the rest. Unless the operator allows it, every request fails. The functions always exist, so
// that a transformation can handle that as an ordinary error.
//
// Out: `{url, method, headers: [[name, value]], body, timeout, redirect, follow}` or `{geolocation: ip}`.
// In: `{url, status, headers, body}`, the body as text, or `{error, whole}`: `whole` says whether the error is a
// complete message.
((host) => {
  const { request, access } = host;
  const { parse, stringify } = JSON;
  const { isArray } = Array;
  const { isError } = Error;
  const { keys, setPrototypeOf } = Object;
  const NewError = Error;
  const NewTypeError = TypeError;
  const asText = String;
  const uncurry = (method) => Function.prototype.call.bind(method);
  const test = uncurry(RegExp.prototype.test);
  const upper = uncurry(String.prototype.toUpperCase);
  const trim = uncurry(String.prototype.trim);
  const indexOf = uncurry(String.prototype.indexOf);
  const lastIndexOf = uncurry(String.prototype.lastIndexOf);
  const slice = uncurry(String.prototype.slice);
  const split = uncurry(String.prototype.split);
  const exec = uncurry(RegExp.prototype.exec);
  const toInt = parseInt;
  const toNumber = Number;
  const call = uncurry(Function.prototype.call);
  const { iterator } = Symbol;
  const OFF = 'network access is off, --allow-net names the hosts that may be asked';
  // One to four parts, each decimal, octal or hexadecimal; the last part fills the remaining bytes: `127.1`, `0x7f.1`.
  const IPV4 = /^(?:0x[\da-f]+|0[0-7]*|[1-9]\d*)(?:\.(?:0x[\da-f]+|0[0-7]*|[1-9]\d*)){0,3}$/i;
  const DECIMAL = /^(?:\d{1,3}\.){3}\d{1,3}$/;
  const OCTAL = /^[0-7]+$/;
  const ZONE = /%[\da-z]+$/i;
  const IPV6 =
    /^(?:(?:[\da-f]{1,4}:){7}[\da-f]{1,4}|(?=(?:[\da-f]{0,4}:){2,7}[\da-f]{0,4}$)(?:[\da-f]{1,4}(?::[\da-f]{1,4})*)?::(?:[\da-f]{1,4}(?::[\da-f]{1,4})*)?)$/i;

  const isIpv4 = (text) => {
    if (!test(IPV4, text)) return false;
    const parts = split(text, '.');
    for (let i = 0; i < parts.length; i++) {
      const most = i === parts.length - 1 ? 256 ** (5 - parts.length) : 256;
      const octal = parts[i].length > 1 && parts[i][0] === '0' && test(OCTAL, parts[i]);
      if ((octal ? toInt(parts[i], 8) : toNumber(parts[i])) >= most) return false;
    }
    return true;
  };

  const isIpv6 = (text) => {
    const zone = exec(ZONE, text);
    const address = zone === null ? text : slice(text, 0, zone.index);
    const end = lastIndexOf(address, ':') + 1;
    const v4 = slice(address, end);
    // The last two groups may be written as an IPv4 address.
    if (test(DECIMAL, v4)) return isIpv4(v4) && test(IPV6, `${slice(address, 0, end)}0:0`);
    return test(IPV6, address);
  };

  /** A URL for a message: without a password, and of limited length. */
  const shown = (url) => {
    let text = url.length > 1000 ? `${slice(url, 0, 1000)}\u2026` : url;
    const start = indexOf(text, '//') + 2;
    if (start > 1) {
      let end = text.length;
      for (let i = start; i < end; i++) if (text[i] === '/' || text[i] === '?' || text[i] === '#' || text[i] === '\\') end = i;
      const at = lastIndexOf(slice(text, start, end), '@');
      if (at >= 0) text = `${slice(text, 0, start)}***${slice(text, start + at)}`;
    }
    return text;
  };

  const urlOf = (url) => {
    if (typeof url === 'string') return trim(url);
    if (typeof url === 'object' && url !== null) return trim(`${url}`);
    throw new NewTypeError(`the URL is a ${typeof url}, not a text`);
  };

  /** An object of headers, or pairs (an array of them, a Map), as pairs. */
  const headersOf = (headers) => {
    const pairs = setPrototypeOf([], null);
    if (headers === undefined || headers === null) return pairs;
    if (typeof headers !== 'object') throw new NewTypeError('headers is an object such as {accept: "text/plain"}');
    if (!isArray(headers) && typeof headers[iterator] !== 'function') {
      const names = keys(headers);
      for (let i = 0; i < names.length; i++) {
        const value = headers[names[i]];
        if (value !== undefined) pairs[pairs.length] = [names[i], isArray(value) ? `${value}` : asText(value)];
      }
      return pairs;
    }
    const each = call(headers[iterator], headers);
    for (let next = each.next(); !next.done; next = each.next()) {
      pairs[pairs.length] = [asText(next.value[0]), asText(next.value[1])];
    }
    return pairs;
  };

  const bodyOf = (body, method) => {
    if (body === undefined || body === null) return undefined;
    if (method === 'GET' || method === 'HEAD') throw new NewTypeError(`a ${method} request cannot have a body`);
    if (typeof body === 'object') throw new NewTypeError('the body is an object, not a text; use JSON.stringify(body)');
    return asText(body);
  };

  const messageOf = (url, options) => {
    if (typeof options !== 'object' && options !== undefined) throw new NewTypeError('the options are no object');
    const { method = 'GET', headers, body, timeout, redirect, follow } = options ?? {};
    const name = upper(asText(method));
    return stringify({
      url,
      method: name,
      headers: headersOf(headers),
      body: bodyOf(body, name),
      timeout: typeof timeout === 'number' && timeout > 0 ? timeout : undefined,
      redirect: redirect === undefined ? undefined : asText(redirect),
      follow: typeof follow === 'number' && follow >= 0 ? follow : undefined,
    });
  };

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
        const text = urlOf(url);
        name = shown(text);
        if (access.fetch) {
          const answer = parse(await request(messageOf(text, options)));
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
        throw new NewError(`request to ${shown(urlOf(url))} failed, reason: the answer (status ${answer.status}) is not JSON`);
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
    if (typeof ip !== 'string' || !(isIpv4(ip) || isIpv6(ip))) throw new NewError('invalid ip address');
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
