// Prints values in a notation like JavaScript source, for messages and differences.
(() => {
  const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;
  const quote = (text) => `'${text.replace(/[\\']/g, '\\$&').replace(/\n/g, '\\n').replace(/\r/g, '\\r')}'`;
  const keyText = (key) => (typeof key === 'symbol' ? `[${String(key)}]` : IDENTIFIER.test(key) ? key : quote(key));

  const simple = (value) => {
    switch (typeof value) {
      case 'string': return quote(value);
      case 'bigint': return `${value}n`;
      case 'function': return isMock(value) ? `[mock ${value.getMockName()}]` : `[Function: ${value.name || 'anonymous'}]`;
      case 'number': return Object.is(value, -0) ? '-0' : String(value);
      case 'object': return value === null ? 'null' : undefined;
      default: return String(value);
    }
  };

  const isMock = (value) => typeof value === 'function' && value.isMockFunction === true;

  const isPlain = (value) => {
    const prototype = Object.getPrototypeOf(value);
    return prototype === null || prototype === Object.prototype;
  };

  /** Prints a value, on one line if it is short. */
  const print = (value, { indent = '', seen = [] } = {}) => {
    const flat = simple(value);
    if (flat !== undefined) return flat;
    if (value.isAsymmetric === true) return value.asText();
    if (seen.includes(value)) return '[Circular]';
    if (Error.isError(value)) return `[${value.name}: ${value.message}]`;
    if (value instanceof Date) return `Date(${Number.isNaN(value.getTime()) ? 'invalid' : value.toISOString()})`;
    if (value instanceof RegExp) return String(value);
    const inner = { indent: `${indent}  `, seen: [...seen, value] };
    const block = (open, items, close) => {
      if (items.length === 0) return open + close;
      const line = `${open}${open.endsWith('[') ? '' : ' '}${items.join(', ')}${open.endsWith('[') ? '' : ' '}${close}`;
      if (line.length + indent.length <= 80 && !line.includes('\n')) return line;
      return `${open}\n${items.map((item) => `${inner.indent}${item},\n`).join('')}${indent}${close}`;
    };
    if (Array.isArray(value)) return block('[', Array.from(value, (item) => print(item, inner)), ']');
    if (value instanceof Map) {
      return block('Map {', Array.from(value, ([k, v]) => `${print(k, inner)} => ${print(v, inner)}`), '}');
    }
    if (value instanceof Set) return block('Set {', Array.from(value, (item) => print(item, inner)), '}');
    const keys = Reflect.ownKeys(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));
    const name = isPlain(value) ? '' : `${value.constructor?.name ?? 'Object'} `;
    return block(`${name}{`, keys.map((key) => `${keyText(key)}: ${print(value[key], inner)}`), '}');
  };

  /** Prints a value on one line of limited length, for use in a sentence. */
  const short = (value) => {
    const text = print(value).replace(/\s*\n\s*/g, ' ');
    return text.length > 100 ? `${text.slice(0, 100)}…` : text;
  };

  const pathText = (path) => {
    let text = '';
    for (const part of path) {
      if (typeof part === 'number') text += `[${part}]`;
      else if (IDENTIFIER.test(part)) text += text === '' ? part : `.${part}`;
      else text += `[${quote(String(part))}]`;
    }
    return text;
  };

  return { print, short, pathText, isPlain, isMock };
})
