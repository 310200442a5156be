// UUIDs by RFC 9562: v4 from random bits, v7 from the clock and random bits, v5 from a name.
//
//   import { v5, DNS } from 'uuid';
//   v5('example.com', DNS);    // always the same for the same name: good for ids that a retry must not change
import { sha1 } from 'hash';

/** Namespaces for v5. */
export const DNS = '6ba7b810-9dad-11d1-80b4-00c04fd430c8';
export const URL_NAMESPACE = '6ba7b811-9dad-11d1-80b4-00c04fd430c8';

const SHAPE = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Whether a value is a UUID as text. */
export const isUuid = (value) => typeof value === 'string' && SHAPE.test(value);

const text = (bytes, version) => {
  bytes[6] = (bytes[6] & 0x0f) | (version << 4);
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = bytes.subarray(0, 16).toHex();
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
};

/** A random UUID. */
export const v4 = () => crypto.randomUUID();

/** A UUID that sorts by its creation time. */
export function v7(time = Date.now()) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  for (let i = 5, rest = time; i >= 0; i--, rest = Math.floor(rest / 256)) bytes[i] = rest % 256;
  return text(bytes, 7);
}

/** The UUID of a name in a namespace, which is a UUID itself. */
export function v5(name, namespace) {
  if (!isUuid(namespace)) throw new TypeError('v5 needs a namespace that is a UUID, such as DNS: v5(name, DNS)');
  const own = Uint8Array.fromHex(namespace.replaceAll('-', ''));
  const bytes = new TextEncoder().encode(`${name}`);
  const all = new Uint8Array(16 + bytes.length);
  all.set(own);
  all.set(bytes, 16);
  return text(sha1(all, 'bytes'), 5);
}
