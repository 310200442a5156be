// Base64 of texts as UTF-8, and of bytes.
//
//   import { encode, decode } from 'base64';
//   encode('Grüße');           // 'R3LDvMOfZQ=='
//   decode('R3LDvMOfZQ==');    // 'Grüße'

/** The base64 of a text (as UTF-8) or of bytes. `{ url: true }` writes the alphabet for URLs, without padding. */
export function encode(input, { url = false } = {}) {
  const bytes = input instanceof Uint8Array ? input : new TextEncoder().encode(`${input}`);
  return bytes.toBase64(url ? { alphabet: 'base64url', omitPadding: true } : undefined);
}

/** The bytes of base64, in either alphabet, with or without padding. */
export function decodeBytes(text) {
  const plain = `${text}`.replaceAll('-', '+').replaceAll('_', '/');
  return Uint8Array.fromBase64(plain);
}

/** The text (UTF-8) of base64. */
export const decode = (text) => new TextDecoder().decode(decodeBytes(text));
