// Prints values for snapshots in the format of Vitest and Jest (`pretty-format`): double quotes, sorted keys, one item
// per line. So snapshots that these tools have written can be used unchanged.
((printing) => {
  const { isMock } = printing;

  const isList = (value) => Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));

  const simple = (value) => {
    switch (typeof value) {
      case 'string': return `"${value}"`;
      case 'number': return Object.is(value, -0) ? '-0' : String(value);
      case 'bigint': return `${value}n`;
      case 'function':
        return isMock(value) ? undefined : `[Function ${value.name || 'anonymous'}]`;
      case 'object': return value === null ? 'null' : undefined;
      default: return String(value);
    }
  };

  const className = (value) => {
    const prototype = Object.getPrototypeOf(value);
    if (prototype === null || prototype === Object.prototype || prototype === Array.prototype) return '';
    const name = value.constructor?.name;
    return name ? `${name} ` : 'Object ';
  };

  const pretty = (value, indent = '', seen = []) => {
    const flat = simple(value);
    if (flat !== undefined) return flat;
    if (value.isAsymmetric === true) return value.asPretty();
    if (seen.includes(value)) return '[Circular]';
    if (Error.isError(value)) return `[${value.name}: ${value.message}]`;
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Date { NaN }' : value.toISOString();
    if (value instanceof RegExp) return String(value);
    const deeper = `${indent}  `;
    const inside = [...seen, value];
    const show = (item) => pretty(item, deeper, inside);
    const block = (open, items, close) => (items.length === 0
      ? open + close
      : `${open}\n${items.map((item) => `${deeper}${item},\n`).join('')}${indent}${close}`);
    if (isMock(value)) return prettyMock(value, block, show);
    if (isList(value)) return block(`${className(value)}[`, Array.from(value, show), ']');
    if (value instanceof Map) return block('Map {', Array.from(value, ([k, v]) => `${show(k)} => ${show(v)}`), '}');
    if (value instanceof Set) return block('Set {', Array.from(value, show), '}');
    if (value instanceof Promise) return 'Promise {}';
    const keys = Reflect.ownKeys(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));
    keys.sort((a, b) => (String(a) < String(b) ? -1 : 1));
    const keyText = (key) => (typeof key === 'symbol' ? String(key) : `"${key}"`);
    return block(`${className(value)}{`, keys.map((key) => `${keyText(key)}: ${show(value[key])}`), '}');
  };

  const prettyMock = (value, block, show) => {
    const { calls, results } = value.mock;
    const head = `[MockFunction${value.getMockName() === 'vi.fn()' ? '' : ` ${value.getMockName()}`}]`;
    if (calls.length === 0) return head;
    return block(`${head} {`, [`"calls": ${show(calls)}`, `"results": ${show(results)}`], '}');
  };

  return { pretty };
})
