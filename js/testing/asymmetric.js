// Matchers inside expected values: `expect.any(String)`, `expect.objectContaining({…})`. `expect.not` has the opposite
// of each.
((printing, equality, values) => {
  const { short } = printing;
  const { Asymmetric, equals, isObject } = equality;
  const { close, textMatches } = values;

  /** @type {Map<Function, string>} */
  const TYPES = new Map(/** @type {[Function, string][]} */ ([
    [String, 'string'], [Number, 'number'], [Boolean, 'boolean'], [BigInt, 'bigint'], [Symbol, 'symbol'],
    [Function, 'function'],
  ]));
  const isOf = (type) => {
    if (typeof type !== 'function') throw new TypeError('expect.any wants a class, such as String; for any value use expect.anything()');
    const word = TYPES.get(type);
    if (word !== undefined) return (value) => typeof value === word || value instanceof type;
    return type === Object ? isObject : (value) => value instanceof type;
  };
  const make = (name, matches, inside, pretty) =>
    new Asymmetric(name, matches, `expect.${name}(${inside})`, pretty);

  const makers = {
    anything: () => make('anything', (value) => value !== null && value !== undefined, '', 'Anything'),
    any: (type) => make('any', isOf(type), type.name, `Any<${type.name}>`),
    objectContaining: (part) => make('objectContaining',
      (value) => isObject(value) && Reflect.ownKeys(part).every((key) => key in value && equals(part[key], value[key])), short(part)),
    arrayContaining: (part) => make('arrayContaining',
      (value) => Array.isArray(value) && part.every((item) => value.some((one) => equals(item, one))), short(part)),
    arrayOf: (item) => make('arrayOf', (value) => Array.isArray(value) && value.every((one) => equals(item, one)), short(item)),
    stringContaining: (part) => make('stringContaining',
      (value) => typeof value === 'string' && value.includes(part), short(part), `StringContaining "${part}"`),
    stringMatching: (pattern) => make('stringMatching',
      (value) => typeof value === 'string' && textMatches(value, typeof pattern === 'string' ? new RegExp(pattern) : pattern),
      short(pattern), `StringMatching ${pattern instanceof RegExp ? pattern : `/${pattern}/`}`),
    closeTo: (number, digits = 2) => make('closeTo',
      (value) => typeof value === 'number' && close(value, number, digits), `${number}, ${digits}`),
  };
  const opposite = (name, maker) => (...args) => {
    const inner = maker(...args);
    return new Asymmetric(name, (value) => !inner.asymmetricMatch(value), inner.asText().replace('expect.', 'expect.not.'));
  };
  const negated = {};
  for (const [name, maker] of Object.entries(makers)) negated[name] = opposite(name, maker);
  return { makers, negated, opposite };
})
