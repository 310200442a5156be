// `crypto`: random bytes, UUIDs and digests of the Web Cryptography API. In a test with a seed, random values come from
// `Math.random`, so that a test gets the same ones every time.
(({ fillRandom, digestInto }, { DOMException }, seeded) => {
  const { random, floor } = Math;
  const NewTypeError = TypeError;
  const LENGTHS = { 'SHA-1': 20, 'SHA-256': 32, 'SHA-384': 48, 'SHA-512': 64 };
  const INTEGERS = new Set(['Int8Array', 'Uint8Array', 'Uint8ClampedArray', 'Int16Array', 'Uint16Array', 'Int32Array', 'Uint32Array', 'BigInt64Array', 'BigUint64Array']);
  const kindOfView = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array).prototype, Symbol.toStringTag).get;
  const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

  const fill = (bytes) => {
    if (!seeded) return fillRandom(bytes);
    for (let i = 0; i < bytes.length; i++) bytes[i] = floor(random() * 256);
    return undefined;
  };

  class Crypto {
    constructor(key) {
      if (key !== fill) throw new NewTypeError('Illegal constructor');
    }

    get subtle() {
      return subtle;
    }

    getRandomValues(array) {
      const kind = ArrayBuffer.isView(array) ? kindOfView.call(array) : undefined;
      if (!INTEGERS.has(kind)) throw new DOMException('getRandomValues needs an array of integers', 'TypeMismatchError');
      if (array.byteLength > 65536) throw new DOMException(`${array.byteLength} bytes are asked for; at most 65536 are given at once`, 'QuotaExceededError');
      fill(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
      return array;
    }

    randomUUID() {
      const b = new Uint8Array(16);
      fill(b);
      b[6] = (b[6] & 0x0f) | 0x40;
      b[8] = (b[8] & 0x3f) | 0x80;
      const h = (i) => HEX[b[i]];
      return `${h(0)}${h(1)}${h(2)}${h(3)}-${h(4)}${h(5)}-${h(6)}${h(7)}-${h(8)}${h(9)}-${h(10)}${h(11)}${h(12)}${h(13)}${h(14)}${h(15)}`;
    }
  }

  class SubtleCrypto {
    constructor(key) {
      if (key !== fill) throw new NewTypeError('Illegal constructor');
    }

    async digest(algorithm, data) {
      const given = typeof algorithm === 'object' && algorithm !== null ? algorithm.name : algorithm;
      if (given === undefined) throw new NewTypeError("digest needs the name of an algorithm, such as 'SHA-256'");
      const name = `${given}`.toUpperCase();
      if (!Object.hasOwn(LENGTHS, name)) {
        throw new DOMException(`${name} is not there; there are ${Object.keys(LENGTHS).join(', ')}`, 'NotSupportedError');
      }
      let bytes;
      if (ArrayBuffer.isView(data)) bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      else if (data instanceof ArrayBuffer) bytes = new Uint8Array(data);
      else throw new NewTypeError('digest needs bytes: encode a string with new TextEncoder().encode(text)');
      const out = new Uint8Array(LENGTHS[name]);
      digestInto(name, bytes, out);
      return out.buffer;
    }
  }
  const subtle = new SubtleCrypto(fill);
  const crypto = new Crypto(fill);
  for (const made of [Crypto, SubtleCrypto]) {
    Object.defineProperty(made.prototype, Symbol.toStringTag, { value: made.name, configurable: true });
  }
  return { crypto, Crypto, SubtleCrypto, subtle };
})
