// The text of a value in a log line, see `js/runtime/log.js`.
(({ stringify, rawJSON, asText, isError, setPrototypeOf }) => {
  const text = (value) => {
    switch (typeof value) {
      case 'string':
        return value;
      case 'function':
        return `[Function: ${value.name || 'anonymous'}]`;
      case 'object': {
        if (value === null) return 'null';
        if (isError(value)) return asText(value.stack ?? value);
        return stringify(value, (_key, inner) => (typeof inner === 'bigint' ? rawJSON(asText(inner)) : inner)) ?? asText(value);
      }
      default:
        return asText(value);
    }
  };

  const safely = (value) => {
    try {
      return text(value);
    } catch {
      // A cycle, or a getter that throws.
      try {
        const seen = setPrototypeOf([], null);
        return stringify(value, function (_key, inner) {
          if (typeof inner !== 'object' || inner === null) return typeof inner === 'bigint' ? rawJSON(asText(inner)) : inner;
          while (seen.length > 0 && seen[seen.length - 1] !== this) seen.length--;
          for (let i = 0; i < seen.length; i++) if (seen[i] === inner) return '[Circular]';
          seen[seen.length] = inner;
          return inner;
        });
      } catch {
        return '[unprintable]';
      }
    }
  };

  return safely;
})
