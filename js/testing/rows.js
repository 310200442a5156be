// The rows of `test.each` (a list, or a table in a template), and the name of the test for a row.
((printing) => {
  const { short } = printing;

  /** A table in a template: a head line of names, then the values. */
  const fromTemplate = (strings, values) => {
    const heads = strings[0].split('\n').map((line) => line.replace(/\/\/.*$/, '').trim()).find((line) => line !== '') ?? '';
    const names = heads.split('|').map((name) => name.trim()).filter((name) => name !== '');
    if (names.length === 0 || values.length % names.length !== 0) {
      throw new TypeError(`a table with ${names.length} columns wants as many values in each row, but there are ${values.length} values`);
    }
    const rows = [];
    for (let at = 0; at < values.length; at += names.length) {
      rows.push(Object.fromEntries(names.map((name, index) => [name, values[at + index]])));
    }
    return rows;
  };

  const rowsOf = (table, values) => {
    if (Array.isArray(table)) return Object.hasOwn(table, 'raw') ? fromTemplate(table, values) : table;
    if (typeof table?.[Symbol.iterator] === 'function' && typeof table !== 'string') return [...table];
    throw new TypeError('each wants a list of rows, or a table in a template');
  };

  const formatted = (sign, value) => {
    switch (sign) {
      case '%d': case '%i': case '%f': {
        if (typeof value === 'bigint') return `${value}n`;
        const number = Number(value);
        return String(sign === '%i' ? Math.trunc(number) : number);
      }
      case '%j':
        try {
          return JSON.stringify(value);
        } catch {
          // A cycle: the short form is enough for a name.
          return short(value);
        }
      case '%c': return '';
      default: return typeof value === 'string' ? value : short(value);
    }
  };

  const field = (row, path) => {
    const parts = path.replace(/\[(\w+)\]/g, '.$1').split('.');
    return parts.reduce((at, key) => at?.[key], row);
  };

  /** A name with the row's values in place of `%s`, `$key` and similar placeholders. */
  const fill = (name, row, index) => {
    const values = Array.isArray(row) ? [...row] : [row];
    const text = String(name).replace(/%[sdifjoOpc#$%]/g, (sign) => {
      if (sign === '%%') return '%';
      if (sign === '%#') return String(index);
      if (sign === '%$') return String(index + 1);
      return values.length === 0 ? sign : formatted(sign, values.shift());
    });
    return text.replace(/\$(#|[A-Za-z_$\d][\w$]*(?:\.\w+|\[\w+\])*)/g, (whole, path) => {
      if (path === '#') return String(index);
      if (typeof row !== 'object' || row === null) return whole;
      const value = field(row, path);
      return value === undefined ? whole : typeof value === 'string' ? value : short(value);
    });
  };

  return { rowsOf, fill };
})
