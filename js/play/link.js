// A link that contains code and event after `#`, where no browser sends it. It does not contain the token: the
// recipient needs a playground of their own.

const KEY = 'try=';

const through = async (bytes, stream) => new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());

/** The text after `#` for `{ file, code, event, metadata }`. */
export const pack = async (draft) => {
  const bytes = await through(new TextEncoder().encode(JSON.stringify(draft)), new CompressionStream('deflate-raw'));
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
  return KEY + btoa(text).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
};

/** The contents of the text after `#`; undefined if the text has no link. */
export const unpack = async (hash) => {
  const text = hash.replace(/^#/, '').split('&').find((part) => part.startsWith(KEY))?.slice(KEY.length);
  if (text === undefined) return undefined;
  const bytes = Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0));
  const draft = JSON.parse(new TextDecoder().decode(await through(bytes, new DecompressionStream('deflate-raw'))));
  const isText = (value) => value === undefined || typeof value === 'string';
  const { file, code, event, metadata } = draft;
  if (typeof code !== 'string' || ![file, event, metadata].every(isText)) throw new Error('it holds no code');
  return { file: /^[\w./ -]+\.m?[jt]s$/.test(file ?? '') ? file : 'transform.js', code, event, metadata };
};
