// `getCredential(key)` returns a string, or undefined. `setCredentials` is called once, before the author's code runs.
(() => {
  const uncurry = ((method) => Function.prototype.call.bind(method));
  const get = uncurry(Map.prototype.get);
  const NewTypeError = TypeError;
  const asText = String;
  let known = new Map();
  const setCredentials = ((credentials) => {
    if (credentials !== undefined) known = new Map(Object.entries(credentials));
  });
  const getCredential = (key) => {
    if (key === undefined || key === null) throw new NewTypeError('Key should be valid and defined');
    // Keys match like object keys: 7 is "7". Objects are not converted, because that could run the author's code.
    return get(known, typeof key === 'number' || typeof key === 'boolean' ? asText(key) : key);
  };
  return { getCredential, setCredentials };
})
