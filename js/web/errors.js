// `DOMException`, as the web platform's functions throw it.
(() => {
  // The names by code, from 1. If the name of the constant does not follow from the error's name, it is listed too.
  const NAMES = [
    'IndexSizeError', ['', 'DOMSTRING_SIZE_ERR'], 'HierarchyRequestError', 'WrongDocumentError', 'InvalidCharacterError',
    ['', 'NO_DATA_ALLOWED_ERR'], 'NoModificationAllowedError', 'NotFoundError', 'NotSupportedError',
    ['InUseAttributeError', 'INUSE_ATTRIBUTE_ERR'], 'InvalidStateError', 'SyntaxError', 'InvalidModificationError', 'NamespaceError',
    'InvalidAccessError', ['', 'VALIDATION_ERR'], 'TypeMismatchError', 'SecurityError', 'NetworkError', 'AbortError',
    ['URLMismatchError', 'URL_MISMATCH_ERR'], 'QuotaExceededError', 'TimeoutError', 'InvalidNodeTypeError', 'DataCloneError',
  ];
  const CODES = new Map();

  class DOMException extends Error {
    #name;

    constructor(message = '', name = 'Error') {
      super(`${message}`);
      this.#name = `${name}`;
    }

    get name() {
      return this.#name;
    }

    get code() {
      return CODES.get(this.#name) ?? 0;
    }
  }
  NAMES.forEach((entry, at) => {
    const value = at + 1;
    const [name, constant] = typeof entry === 'string' ? [entry, `${entry.slice(0, -5).replace(/(?!^)[A-Z]/g, '_$&').toUpperCase()}_ERR`] : entry;
    if (name !== '') CODES.set(name, value);
    for (const holder of [DOMException, DOMException.prototype]) Object.defineProperty(holder, constant, { value, enumerable: true });
  });
  Object.defineProperty(DOMException.prototype, Symbol.toStringTag, { value: 'DOMException', configurable: true });
  return { DOMException };
})
