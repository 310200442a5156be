// Converts the arguments of the network functions, see `js/runtime/network.js`.
(({
  stringify, isArray, keys, setPrototypeOf, NewTypeError, asText, toInt, toNumber, iterator, call, test, exec, upper, trim, slice, split,
  indexOf, lastIndexOf,
}) => {
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

  /** Converts headers to pairs: an object, or an iterable of pairs (an array, a Map). */
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

  const isAddress = (text) => isIpv4(text) || isIpv6(text);

  return { urlOf, shown, messageOf, isAddress };
})
