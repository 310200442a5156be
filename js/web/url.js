// `URL` and `URLSearchParams` of the URL standard (https://url.spec.whatwg.org). Parsing and the rules of the setters
// are native; this file has the objects around them.
(({ parseUrl, setUrl }) => {
  // The parts of a URL as `parseUrl` lists them.
  const HREF = 0, ORIGIN = 1, PROTOCOL = 2, USERNAME = 3, PASSWORD = 4, HOST = 5, HOSTNAME = 6, PORT = 7, PATHNAME = 8, SEARCH = 9, HASH = 10;
  const NewTypeError = TypeError;

  /** The string of a value as WebIDL's USVString: lone surrogates become U+FFFD. */
  const usv = (value) => `${value}`.toWellFormed();

  const decode = (text) => {
    const spaced = text.replaceAll('+', ' ');
    if (!spaced.includes('%')) return spaced;
    // Decodes only valid escapes, because a percent sign that encodes nothing stays unchanged.
    return spaced.replace(/(?:%[0-9a-f]{2})+/gi, (run) => {
      try {
        return decodeURIComponent(run);
      } catch {
        return lossy(run);
      }
    });
  };

  /** Percent-encoded bytes that are not UTF-8, with U+FFFD for invalid sequences. */
  const lossy = (run) => {
    let out = '';
    let at = 0;
    while (at < run.length) {
      let end = at;
      // Finds the longest valid UTF-8 sequence that starts here.
      for (const bytes of [4, 3, 2, 1]) {
        try {
          const text = decodeURIComponent(run.slice(at, at + 3 * bytes));
          if (at + 3 * bytes <= run.length) {
            out += text;
            end = at + 3 * bytes;
            break;
          }
        } catch { /* shorter */ }
      }
      if (end === at) {
        end = at + 3;
        const lead = parseInt(run.slice(at + 1, at + 3), 16);
        // An incomplete sequence counts as one error.
        const most = lead >= 0xf0 && lead < 0xf5 ? 3 : lead >= 0xe0 && lead < 0xf0 ? 2 : lead >= 0xc2 && lead < 0xe0 ? 1 : 0;
        let low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
        let high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
        for (let i = 0; i < most && end < run.length; i++) {
          const next = parseInt(run.slice(end + 1, end + 3), 16);
          if (next < low || next > high) break;
          end += 3;
          low = 0x80;
          high = 0xbf;
        }
        out += '\ufffd';
      }
      at = end;
    }
    return out;
  };

  const encode = (text) =>
    encodeURIComponent(text).replace(/%20|[!'()~]/g, (found) =>
      found === '%20' ? '+' : `%${found.charCodeAt(0).toString(16).toUpperCase()}`);

  const parsePairs = (text) => {
    const pairs = [];
    for (const part of text.split('&')) {
      if (part === '') continue;
      const at = part.indexOf('=');
      pairs.push(at < 0 ? [decode(part), ''] : [decode(part.slice(0, at)), decode(part.slice(at + 1))]);
    }
    return pairs;
  };

  const need = (given, wanted, name) => {
    if (given < wanted) throw new NewTypeError(`${name} needs ${wanted} argument${wanted > 1 ? 's' : ''}, and got ${given}`);
  };

  /** Sets the query of a URL from its parameters. */
  let write;
  /** Sets parameters from the query of their URL, without an update of the URL. */
  let refill;
  /** Ties parameters to a URL. */
  let tie;

  class URLSearchParams {
    #pairs = [];
    #url;

    static {
      refill = (params, text) => {
        params.#pairs = parsePairs(text);
      };
      tie = (params, url) => {
        params.#url = url;
      };
    }

    constructor(init = /** @type {any} */ ('')) {
      if (init === null || (typeof init !== 'object' && typeof init !== 'function')) {
        const text = usv(init);
        this.#pairs = parsePairs(text[0] === '?' ? text.slice(1) : text);
      } else if (init[Symbol.iterator] !== undefined && init[Symbol.iterator] !== null) {
        for (const pair of init) {
          if (typeof pair !== 'object' || pair === null) throw new NewTypeError('each pair must be a list of a name and a value');
          const list = [...pair];
          if (list.length !== 2) throw new NewTypeError('each pair must be a list of a name and a value');
          this.#pairs.push([usv(list[0]), usv(list[1])]);
        }
      } else {
        const record = new Map();
        for (const key of Reflect.ownKeys(init)) {
          if (typeof key === 'symbol') throw new NewTypeError('the names of parameters are strings, not symbols');
          if (Object.getOwnPropertyDescriptor(init, key)?.enumerable) record.set(usv(key), usv(init[key]));
        }
        this.#pairs = [...record].map(([name, value]) => [name, value]);
      }
    }

    #changed() {
      if (this.#url !== undefined) write(this.#url, this.toString());
    }

    get size() {
      return this.#pairs.length;
    }

    append(name, value) {
      need(arguments.length, 2, 'append');
      this.#pairs.push([usv(name), usv(value)]);
      this.#changed();
    }

    delete(name, value) {
      need(arguments.length, 1, 'delete');
      const [wanted, only] = [usv(name), value === undefined ? undefined : usv(value)];
      this.#pairs = this.#pairs.filter(([key, text]) => key !== wanted || (only !== undefined && text !== only));
      this.#changed();
    }

    get(name) {
      need(arguments.length, 1, 'get');
      const wanted = usv(name);
      return this.#pairs.find(([key]) => key === wanted)?.[1] ?? null;
    }

    getAll(name) {
      need(arguments.length, 1, 'getAll');
      const wanted = usv(name);
      return this.#pairs.filter(([key]) => key === wanted).map(([, value]) => value);
    }

    has(name, value) {
      need(arguments.length, 1, 'has');
      const [wanted, only] = [usv(name), value === undefined ? undefined : usv(value)];
      return this.#pairs.some(([key, text]) => key === wanted && (only === undefined || text === only));
    }

    set(name, value) {
      need(arguments.length, 2, 'set');
      const [wanted, text] = [usv(name), usv(value)];
      const at = this.#pairs.findIndex(([key]) => key === wanted);
      if (at < 0) this.#pairs.push([wanted, text]);
      else this.#pairs = this.#pairs.flatMap((pair, i) => (pair[0] !== wanted ? [pair] : i === at ? [[wanted, text]] : []));
      this.#changed();
    }

    sort() {
      // By code units, as `<` compares; the sort is stable.
      this.#pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
      this.#changed();
    }

    forEach(callback, self) {
      if (typeof callback !== 'function') throw new NewTypeError('forEach needs a function');
      for (let i = 0; i < this.#pairs.length; i++) callback.call(self, this.#pairs[i][1], this.#pairs[i][0], this);
    }

    *#each(make) {
      for (let i = 0; i < this.#pairs.length; i++) yield make(this.#pairs[i]);
    }

    entries() {
      return this.#each(([name, value]) => [name, value]);
    }

    keys() {
      return this.#each(([name]) => name);
    }

    values() {
      return this.#each(([, value]) => value);
    }

    toString() {
      return this.#pairs.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&');
    }
  }
  Object.defineProperty(URLSearchParams.prototype, Symbol.iterator, {
    value: URLSearchParams.prototype.entries, writable: true, configurable: true,
  });

  const invalid = (href) => {
    return Object.assign(new NewTypeError('Invalid URL'), { code: 'ERR_INVALID_URL', input: href });
  };

  class URL {
    #parts;
    #params;

    static {
      write = (url, query) => url.#set('search', query);
    }

    constructor(href, base = undefined) {
      need(arguments.length, 1, 'URL');
      const text = usv(href);
      const parts = base === undefined ? parseUrl(text) : parseUrl(text, usv(base));
      if (parts === undefined) throw invalid(text);
      this.#parts = parts;
    }

    static parse(href, base = undefined) {
      need(arguments.length, 1, 'parse');
      try {
        return new URL(href, base);
      } catch {
        return null;
      }
    }

    static canParse(href, base = undefined) {
      need(arguments.length, 1, 'canParse');
      return (base === undefined ? parseUrl(usv(href)) : parseUrl(usv(href), usv(base))) !== undefined;
    }

    /** Sets a part by the standard's rules; an invalid value changes nothing. */
    #set(part, value) {
      this.#parts = setUrl(this.#parts[HREF], part, usv(value)) ?? this.#parts;
    }

    #query() {
      if (this.#params !== undefined) refill(this.#params, this.#parts[SEARCH].slice(1));
    }

    get href() {
      return this.#parts[HREF];
    }

    set href(value) {
      const parts = parseUrl(usv(value));
      if (parts === undefined) throw invalid(usv(value));
      this.#parts = parts;
      this.#query();
    }

    get origin() {
      return this.#parts[ORIGIN];
    }

    get protocol() {
      return this.#parts[PROTOCOL];
    }

    set protocol(value) {
      this.#set('protocol', value);
    }

    get username() {
      return this.#parts[USERNAME];
    }

    set username(value) {
      this.#set('username', value);
    }

    get password() {
      return this.#parts[PASSWORD];
    }

    set password(value) {
      this.#set('password', value);
    }

    get host() {
      return this.#parts[HOST];
    }

    set host(value) {
      this.#set('host', value);
    }

    get hostname() {
      return this.#parts[HOSTNAME];
    }

    set hostname(value) {
      this.#set('hostname', value);
    }

    get port() {
      return this.#parts[PORT];
    }

    set port(value) {
      this.#set('port', value);
    }

    get pathname() {
      return this.#parts[PATHNAME];
    }

    set pathname(value) {
      this.#set('pathname', value);
    }

    get search() {
      return this.#parts[SEARCH];
    }

    set search(value) {
      this.#set('search', value);
      this.#query();
    }

    get searchParams() {
      if (this.#params === undefined) {
        this.#params = new URLSearchParams(this.#parts[SEARCH]);
        tie(this.#params, this);
      }
      return this.#params;
    }

    get hash() {
      return this.#parts[HASH];
    }

    set hash(value) {
      this.#set('hash', value);
    }

    toString() {
      return this.#parts[HREF];
    }

    toJSON() {
      return this.#parts[HREF];
    }
  }

  for (const [name, made] of Object.entries({ URL, URLSearchParams })) {
    Object.defineProperty(made.prototype, Symbol.toStringTag, { value: name, configurable: true });
    for (const key of Object.getOwnPropertyNames(made.prototype)) {
      if (key === 'constructor') continue;
      Object.defineProperty(made.prototype, key, { enumerable: true });
    }
  }
  // The prototype of the iterators of `URLSearchParams`, which has no global name.
  const steps = Object.getPrototypeOf(new URLSearchParams().keys());
  return { URL, URLSearchParams, steps };
})
