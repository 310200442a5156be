// Digests of texts and bytes: md5, sha1, sha256, sha512, and hmac with each of them, in hex or base64.
//
//   import { sha256, hmac } from 'hash';
//   sha256('abc');                       // 'ba7816bf…'
//   sha256('abc', 'base64');             // 'ungWv48B…'
//   hmac('sha256', 'key', 'message');    // 'e9…'
//
// Texts are hashed as UTF-8. md5 and sha1 exist for systems that require them; neither is safe against forgery.

const ROTATIONS = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21];
const SINES = Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32) | 0);

/** The fractions of roots of the first primes, as the SHA-2 standard defines its constants: 64 bits each. */
const PRIMES = (() => {
  const primes = [];
  for (let n = 2; primes.length < 80; n++) if (primes.every((p) => n % p !== 0)) primes.push(n);
  return primes;
})();

/** The first 64 bits of the fraction of the nth root of `prime`, for n = 2 or 3. */
function rootBits(prime, n) {
  const root = (value) => {
    // Newton's method converges from above, so it starts a little above the root as a double.
    let x = BigInt(Math.floor(Number(value) ** (1 / Number(n))));
    x += (x >> 40n) + 1n;
    for (;;) {
      const next = n === 2n ? (x + value / x) / 2n : (2n * x + value / (x * x)) / 3n;
      if (next >= x) return x;
      x = next;
    }
  };
  return BigInt.asUintN(64, root(BigInt(prime) << (64n * n)));
}
const high = (bits) => Number(bits >> 32n) | 0;
const low = (bits) => Number(bits & 0xffffffffn) | 0;

/** The tables of SHA-2, created at the first use. */
let tables;
const sha2 = () => {
  if (tables === undefined) {
    const cubes = PRIMES.map((prime) => rootBits(prime, 3n));
    const squares = PRIMES.slice(0, 8).map((prime) => rootBits(prime, 2n));
    tables = {
      high: Int32Array.from(cubes, high), low: Int32Array.from(cubes, low),
      startHigh: squares.map(high), startLow: squares.map(low),
    };
  }
  return tables;
};

const bytesOf = (input) => {
  if (typeof input === 'string') return new TextEncoder().encode(input);
  if (input instanceof Uint8Array) return input;
  if (input instanceof ArrayBuffer) return new Uint8Array(input);
  throw new TypeError(`a digest is made of a text or of bytes, not of ${input === null ? 'null' : typeof input}; String(value) makes a text`);
};

/** Pads a message as all of these digests require: a 1 bit, zeros, and the length in bits. */
function padded(bytes, block, bigEndian) {
  const size = Math.ceil((bytes.length + 1 + block / 8) / block) * block;
  const view = new DataView(new ArrayBuffer(size));
  const all = new Uint8Array(view.buffer);
  all.set(bytes);
  all[bytes.length] = 0x80;
  const [above, below] = [Math.floor(bytes.length / 2 ** 29), (bytes.length << 3) >>> 0];
  view.setUint32(size - (bigEndian ? 8 : 4), above, !bigEndian);
  view.setUint32(size - (bigEndian ? 4 : 8), below, !bigEndian);
  return view;
}

function output(words, bigEndian) {
  const view = new DataView(new ArrayBuffer(4 * words.length));
  for (let i = 0; i < words.length; i++) view.setInt32(4 * i, words[i], !bigEndian);
  return new Uint8Array(view.buffer);
}

function md5Bytes(bytes) {
  const view = padded(bytes, 64, false);
  let [a0, b0, c0, d0] = [0x67452301, 0xefcdab89 | 0, 0x98badcfe | 0, 0x10325476];
  for (let at = 0; at < view.byteLength; at += 64) {
    let [a, b, c, d] = [a0, b0, c0, d0];
    for (let i = 0; i < 64; i++) {
      let f;
      let g;
      if (i < 16) [f, g] = [(b & c) | (~b & d), i];
      else if (i < 32) [f, g] = [(d & b) | (~d & c), (5 * i + 1) & 15];
      else if (i < 48) [f, g] = [b ^ c ^ d, (3 * i + 5) & 15];
      else [f, g] = [c ^ (b | ~d), (7 * i) & 15];
      const sum = (a + f + SINES[i] + view.getInt32(at + 4 * g, true)) | 0;
      const by = ROTATIONS[(i >> 4) * 4 + (i & 3)];
      [a, d, c, b] = [d, c, b, (b + ((sum << by) | (sum >>> (32 - by)))) | 0];
    }
    a0 = (a0 + a) | 0;
    b0 = (b0 + b) | 0;
    c0 = (c0 + c) | 0;
    d0 = (d0 + d) | 0;
  }
  return output([a0, b0, c0, d0], false);
}

function sha1Bytes(bytes) {
  const view = padded(bytes, 64, true);
  const h = [0x67452301, 0xefcdab89 | 0, 0x98badcfe | 0, 0x10325476, 0xc3d2e1f0 | 0];
  const w = new Int32Array(80);
  for (let at = 0; at < view.byteLength; at += 64) {
    for (let i = 0; i < 16; i++) w[i] = view.getInt32(at + 4 * i);
    for (let i = 16; i < 80; i++) {
      const x = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16];
      w[i] = (x << 1) | (x >>> 31);
    }
    let [a, b, c, d, e] = h;
    for (let i = 0; i < 80; i++) {
      const f = i < 20 ? (b & c) | (~b & d) : i < 40 || i >= 60 ? b ^ c ^ d : (b & c) | (b & d) | (c & d);
      const k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
      const next = (((a << 5) | (a >>> 27)) + f + e + k + w[i]) | 0;
      e = d;
      d = c;
      c = (b << 30) | (b >>> 2);
      b = a;
      a = next;
    }
    h[0] = (h[0] + a) | 0;
    h[1] = (h[1] + b) | 0;
    h[2] = (h[2] + c) | 0;
    h[3] = (h[3] + d) | 0;
    h[4] = (h[4] + e) | 0;
  }
  return output(h, true);
}

function sha256Bytes(bytes) {
  const { high: K, startHigh } = sha2();
  const view = padded(bytes, 64, true);
  const h = Int32Array.from(startHigh);
  const w = new Int32Array(64);
  const turn = (x, by) => (x >>> by) | (x << (32 - by));
  for (let at = 0; at < view.byteLength; at += 64) {
    for (let i = 0; i < 16; i++) w[i] = view.getInt32(at + 4 * i);
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15];
      const y = w[i - 2];
      w[i] = w[i - 16] + w[i - 7] + (turn(x, 7) ^ turn(x, 18) ^ (x >>> 3)) + (turn(y, 17) ^ turn(y, 19) ^ (y >>> 10));
    }
    let [a, b, c, d, e, f, g, last] = h;
    for (let i = 0; i < 64; i++) {
      const one = (last + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
      const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      last = g;
      g = f;
      f = e;
      e = (d + one) | 0;
      d = c;
      c = b;
      b = a;
      a = (one + two) | 0;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
    h[5] += f;
    h[6] += g;
    h[7] += last;
  }
  return output(h, true);
}

function sha512Bytes(bytes) {
  const { high: KH, low: KL, startHigh, startLow } = sha2();
  const view = padded(bytes, 128, true);
  const H = Int32Array.from(startHigh);
  const L = Int32Array.from(startLow);
  const WH = new Int32Array(80);
  const WL = new Int32Array(80);
  // The high and low halves of a 64-bit word rotated right. For 32 bits or more the halves change places.
  const turnHigh = (hi, lo, by) => (by < 32 ? (hi >>> by) | (lo << (32 - by)) : (lo >>> (by - 32)) | (hi << (64 - by)));
  const turnLow = (hi, lo, by) => turnHigh(lo, hi, by);
  for (let at = 0; at < view.byteLength; at += 128) {
    for (let i = 0; i < 16; i++) {
      WH[i] = view.getInt32(at + 8 * i);
      WL[i] = view.getInt32(at + 8 * i + 4);
    }
    for (let i = 16; i < 80; i++) {
      const [xh, xl, yh, yl] = [WH[i - 15], WL[i - 15], WH[i - 2], WL[i - 2]];
      const s0h = turnHigh(xh, xl, 1) ^ turnHigh(xh, xl, 8) ^ (xh >>> 7);
      const s0l = turnLow(xh, xl, 1) ^ turnLow(xh, xl, 8) ^ ((xl >>> 7) | (xh << 25));
      const s1h = turnHigh(yh, yl, 19) ^ turnHigh(yh, yl, 61) ^ (yh >>> 6);
      const s1l = turnLow(yh, yl, 19) ^ turnLow(yh, yl, 61) ^ ((yl >>> 6) | (yh << 26));
      const sum = (WL[i - 16] >>> 0) + (s0l >>> 0) + (WL[i - 7] >>> 0) + (s1l >>> 0);
      WL[i] = sum;
      WH[i] = WH[i - 16] + s0h + WH[i - 7] + s1h + Math.floor(sum / 2 ** 32);
    }
    const h = [...H];
    const l = [...L];
    for (let i = 0; i < 80; i++) {
      const [eh, el, ah, al] = [h[4], l[4], h[0], l[0]];
      const s1h = turnHigh(eh, el, 14) ^ turnHigh(eh, el, 18) ^ turnHigh(eh, el, 41);
      const s1l = turnLow(eh, el, 14) ^ turnLow(eh, el, 18) ^ turnLow(eh, el, 41);
      const chooseH = (eh & h[5]) ^ (~eh & h[6]);
      const chooseL = (el & l[5]) ^ (~el & l[6]);
      const one = (l[7] >>> 0) + (s1l >>> 0) + (chooseL >>> 0) + (KL[i] >>> 0) + (WL[i] >>> 0);
      const oneH = (h[7] + s1h + chooseH + KH[i] + WH[i] + Math.floor(one / 2 ** 32)) | 0;
      const s0h = turnHigh(ah, al, 28) ^ turnHigh(ah, al, 34) ^ turnHigh(ah, al, 39);
      const s0l = turnLow(ah, al, 28) ^ turnLow(ah, al, 34) ^ turnLow(ah, al, 39);
      const mostH = (ah & h[1]) ^ (ah & h[2]) ^ (h[1] & h[2]);
      const mostL = (al & l[1]) ^ (al & l[2]) ^ (l[1] & l[2]);
      const two = (s0l >>> 0) + (mostL >>> 0);
      const twoH = (s0h + mostH + Math.floor(two / 2 ** 32)) | 0;
      h.pop();
      l.pop();
      const e = (l[3] >>> 0) + ((one | 0) >>> 0);
      h[3] = (h[3] + oneH + Math.floor(e / 2 ** 32)) | 0;
      l[3] = e | 0;
      const a = ((one | 0) >>> 0) + ((two | 0) >>> 0);
      h.unshift((oneH + twoH + Math.floor(a / 2 ** 32)) | 0);
      l.unshift(a | 0);
    }
    for (let i = 0; i < 8; i++) {
      const sum = (L[i] >>> 0) + (l[i] >>> 0);
      L[i] = sum;
      H[i] = H[i] + h[i] + Math.floor(sum / 2 ** 32);
    }
  }
  return output(Array.from(H).flatMap((word, i) => [word, L[i]]), true);
}

const ALGORITHMS = {
  __proto__: null,
  md5: [md5Bytes, 64],
  sha1: [sha1Bytes, 64],
  sha256: [sha256Bytes, 64],
  sha512: [sha512Bytes, 128],
};

const written = (bytes, encoding) => {
  if (encoding === 'hex') return bytes.toHex();
  if (encoding === 'base64') return bytes.toBase64();
  if (encoding === 'bytes') return bytes;
  throw new TypeError(`a digest is written as hex, base64 or bytes, not as ${encoding}`);
};

/** The MD5 digest of a text or of bytes, as 'hex', 'base64' or 'bytes'. */
export const md5 = (input, encoding = 'hex') => written(md5Bytes(bytesOf(input)), encoding);

/** The SHA-1 digest. */
export const sha1 = (input, encoding = 'hex') => written(sha1Bytes(bytesOf(input)), encoding);

/** The SHA-256 digest. */
export const sha256 = (input, encoding = 'hex') => written(sha256Bytes(bytesOf(input)), encoding);

/** The SHA-512 digest. */
export const sha512 = (input, encoding = 'hex') => written(sha512Bytes(bytesOf(input)), encoding);

/** The HMAC of a message under a key, with 'md5', 'sha1', 'sha256' or 'sha512'. */
export function hmac(algorithm, key, message, encoding = 'hex') {
  const found = ALGORITHMS[algorithm];
  if (found === undefined) throw new TypeError(`hmac knows md5, sha1, sha256 and sha512, not ${algorithm}`);
  const [digest, block] = found;
  let secret = bytesOf(key);
  if (secret.length > block) secret = digest(secret);
  const join = (pad, bytes) => {
    const all = new Uint8Array(block + bytes.length).fill(pad, 0, block);
    for (let i = 0; i < secret.length; i++) all[i] ^= secret[i];
    all.set(bytes, block);
    return all;
  };
  return written(digest(join(0x5c, digest(join(0x36, bytesOf(message))))), encoding);
}
