// event {"userId":"u","context":{"ip":"1.2.3.4","page":{"url":"https://a.example/x","referrer":"r"},"device":{"id":"d"}}}
// passes userId, context.page.url, context.page.referrer

const ALLOWED = { userId: true, context: { page: true } };
const pick = (value, allowed) => allowed === true ? value : Object.keys(allowed).reduce(
  (o, key) => (value?.[key] === undefined ? o : { ...o, [key]: pick(value[key], allowed[key]) }), {});
export const transformEvent = (event) => pick(event, ALLOWED);
