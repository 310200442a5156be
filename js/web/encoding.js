// `TextEncoder` and `TextDecoder` of the encoding standard (https://encoding.spec.whatwg.org), and `atob` and `btoa`.
(({ utf8Length, utf8Into, encodingOf, decode, fromBase64, toBase64 }, { DOMException }) => {
  const NewTypeError = TypeError;
  const NewRangeError = RangeError;

  class TextEncoder {
    get encoding() {
      return 'utf-8';
    }

    encode(text = '') {
      const well = `${text}`.toWellFormed();
      const bytes = new Uint8Array(utf8Length(well));
      utf8Into(well, bytes);
      return bytes;
    }

    encodeInto(text, target) {
      if (!(target instanceof Uint8Array)) throw new NewTypeError('encodeInto needs a Uint8Array');
      const well = `${text}`.toWellFormed();
      let read = 0;
      let written = 0;
      for (const letter of well) {
        const bytes = utf8Length(letter);
        if (written + bytes > target.length) break;
        written += bytes;
        read += letter.length;
      }
      utf8Into(well.slice(0, read), target);
      return { read, written };
    }
  }

  /** The bytes of a buffer or a view, without a copy. */
  const bytesOf = (input) => {
    if (input === undefined) return new Uint8Array(0);
    if (ArrayBuffer.isView(input)) return new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
    if (input instanceof ArrayBuffer) return new Uint8Array(input);
    throw new NewTypeError('decode needs an ArrayBuffer or a view of one');
  };

  class TextDecoder {
    #encoding;
    #fatal;
    #ignoreBOM;
    /** Bytes of a character that the last piece left incomplete. */
    #rest = [];
    /** Whether the start of the text has been decoded. */
    #started = false;

    constructor(label = 'utf-8', options = undefined) {
      const { fatal = false, ignoreBOM = false } = options ?? {};
      const encoding = encodingOf(`${label}`);
      if (encoding === undefined) throw new NewRangeError(`The encoding label '${label}' is not known`);
      this.#encoding = encoding;
      this.#fatal = !!fatal;
      this.#ignoreBOM = !!ignoreBOM;
    }

    get encoding() {
      return this.#encoding;
    }

    get fatal() {
      return this.#fatal;
    }

    get ignoreBOM() {
      return this.#ignoreBOM;
    }

    decode(input = undefined, options = undefined) {
      const { stream = false } = options ?? {};
      let bytes = bytesOf(input);
      if (this.#rest.length > 0) {
        const joined = new Uint8Array(this.#rest.length + bytes.length);
        joined.set(this.#rest);
        joined.set(bytes, this.#rest.length);
        bytes = joined;
        this.#rest = [];
      }
      if (stream) {
        const whole = bytes.length - unfinished(this.#encoding, bytes);
        this.#rest = [...bytes.subarray(whole)];
        bytes = bytes.subarray(0, whole);
      }
      const text = decode(this.#encoding, bytes, this.#fatal);
      if (text === undefined) {
        this.#started = false;
        throw new NewTypeError(`The encoded data was not valid for encoding ${this.#encoding}`);
      }
      const first = !this.#started;
      this.#started = stream && (this.#started || text.length > 0);
      const hasMark = first && !this.#ignoreBOM && text[0] === '\ufeff' && this.#encoding.startsWith('utf-');
      return hasMark ? text.slice(1) : text;
    }
  }

  /** The number of bytes at the end that belong to an incomplete character. */
  const unfinished = (encoding, bytes) => {
    const { length } = bytes;
    if (encoding === 'utf-8') {
      for (let back = 1; back <= 3 && back <= length; back++) {
        const byte = bytes[length - back];
        if (byte >= 0xc2) return (byte >= 0xf0 && byte < 0xf5 ? 4 : byte >= 0xe0 && byte < 0xf0 ? 3 : byte < 0xe0 ? 2 : 1) > back ? back : 0;
        if (byte < 0x80) return 0;
      }
      return 0;
    }
    if (encoding === 'utf-16le' || encoding === 'utf-16be') {
      const odd = length % 2;
      const high = bytes[length - odd - (encoding === 'utf-16le' ? 1 : 2)];
      return odd + (length - odd >= 2 && high >= 0xd8 && high < 0xdc ? 2 : 0);
    }
    // Of the legacy encodings, only multi-byte ones can end in an incomplete character: a lead byte.
    const single = /^(ibm|iso-8859|koi8|macintosh|windows|x-mac|x-user)/.test(encoding);
    return !single && length > 0 && bytes[length - 1] >= 0x80 && decode(encoding, bytes.subarray(length - 1), true) === undefined ? 1 : 0;
  };

  const need = (given, name) => {
    if (given === 0) throw new NewTypeError(`${name} needs a text`);
  };

  const btoa = function btoa(text) {
    need(arguments.length, 'btoa');
    const encoded = toBase64(`${text}`);
    if (encoded === undefined) throw new DOMException('the string has characters beyond U+00FF; encode it with TextEncoder first', 'InvalidCharacterError');
    return encoded;
  };

  const atob = function atob(text) {
    need(arguments.length, 'atob');
    const decoded = fromBase64(`${text}`);
    if (decoded === undefined) throw new DOMException('the string is not base64', 'InvalidCharacterError');
    return decoded;
  };

  for (const [name, made] of Object.entries({ TextEncoder, TextDecoder })) {
    Object.defineProperty(made.prototype, Symbol.toStringTag, { value: name, configurable: true });
  }
  return { TextEncoder, TextDecoder, atob, btoa };
})
