// `DOMException`, as the web platform's functions throw it.
(() => {
  const CODES = { InvalidCharacterError: 5, TypeMismatchError: 17, QuotaExceededError: 22, DataCloneError: 25, NotSupportedError: 9 };

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
      return CODES[this.#name] ?? 0;
    }
  }
  Object.defineProperty(DOMException.prototype, Symbol.toStringTag, { value: 'DOMException', configurable: true });
  return { DOMException };
})
