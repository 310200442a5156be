// event {"userId":"u1","email":"Ada@Example.com"}
// passes userId
// email -> hashed
// userId -> b

import { sha256 } from 'hash';
import { encode } from 'base64';
export function transformEvent(event) {
  return { userId: event.userId, hashed: sha256(event.email.toLowerCase()), b: encode(event.userId) };
}
