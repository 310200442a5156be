// `getCredential(key)`: a string, or undefined.
((credentials) => {
  const get = Function.prototype.call.bind(Map.prototype.get);
  const NewTypeError = TypeError;
  const asText = String;
  const known = new Map(Object.entries(credentials));
  return (key) => {
    if (key === undefined || key === null) throw new NewTypeError('Key should be valid and defined');
    // Keys are those of an object, where 7 is "7"; no code of the author's is called for one.
    return get(known, typeof key === 'number' || typeof key === 'boolean' ? asText(key) : key);
  };
})
