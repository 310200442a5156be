// `getCredential(key)`: a string, or undefined. `setCredentials` is called once, before any code of the author's.
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
    // Keys are those of an object, where 7 is "7"; no code of the author's is called for one.
    return get(known, typeof key === 'number' || typeof key === 'boolean' ? asText(key) : key);
  };
  return { getCredential, setCredentials };
})
