// Base64 of texts as UTF-8, and of bytes.
//
//   import { encode, decode } from 'base64';
//   encode('Grüße');           // 'R3LDvMOfZQ=='
//   decode('R3LDvMOfZQ==');    // 'Grüße'

/** Encodes a text (as UTF-8) or bytes as base64. `{ url: true }` uses the URL-safe alphabet, without padding. */
export function encode(input, { url = false } = {}) {
  const bytes = input instanceof Uint8Array ? input : new TextEncoder().encode(`${input}`);
  return bytes.toBase64(url ? { alphabet: 'base64url', omitPadding: true } : undefined);
}

/** Decodes base64 to bytes: either alphabet, with or without padding. */
export function decodeBytes(text) {
  const plain = `${text}`.replaceAll('-', '+').replaceAll('_', '/');
  return Uint8Array.fromBase64(plain);
}

/** Decodes base64 to text (UTF-8). */
export const decode = (text) => new TextDecoder().decode(decodeBytes(text));
