// `FinalizationRegistry`. V8's own would call the cleanup function between events, outside every time limit. This one
// never calls it, which the language allows.
(() => {
  const NewTypeError = TypeError;
  const isTarget = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function' || typeof value === 'symbol';

  class FinalizationRegistry {
    #tokens = new WeakMap();

    constructor(cleanup) {
      if (typeof cleanup !== 'function') throw new NewTypeError('FinalizationRegistry: cleanup must be callable');
    }

    register(target, held, token) {
      if (!isTarget(target)) throw new NewTypeError('FinalizationRegistry.prototype.register: invalid target');
      if (target === held) {
        throw new NewTypeError('FinalizationRegistry.prototype.register: target and holdings must not be same');
      }
      if (isTarget(token)) this.#tokens.set(token, true);
      else if (token !== undefined) throw new NewTypeError('FinalizationRegistry.prototype.register: invalid unregister token');
    }

    unregister(token) {
      if (!isTarget(token)) throw new NewTypeError('FinalizationRegistry.prototype.unregister: invalid unregister token');
      return this.#tokens.delete(token);
    }
  }
  Object.defineProperty(FinalizationRegistry.prototype, Symbol.toStringTag, { value: 'FinalizationRegistry', configurable: true });
  return { FinalizationRegistry };
})
