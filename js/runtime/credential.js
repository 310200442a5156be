// `getCredential(key)`: a string, or undefined.
((credentials) => {
  const get = Function.prototype.call.bind(Map.prototype.get);
  const NewTypeError = TypeError;
  const known = new Map(Object.entries(credentials));
  return (key) => {
    if (key === undefined || key === null) throw new NewTypeError('Key should be valid and defined');
    return get(known, key);
  };
})
