// Mock functions and spies: `fn`, `spyOn`, and their records of calls.
((printing, hooks) => {
  const { isMock } = printing;
  let order = 0;
  const mocks = new Set();
  const spies = new Set();

  const newState = () => ({ calls: [], results: [], settledResults: [], instances: [], contexts: [], invocationCallOrder: [] });

  /** Records how a promise that a mock returned settles. */
  const noteSettled = (state, index, value) => {
    state.settledResults[index] = { type: 'incomplete', value: undefined };
    Promise.prototype.then.call(
      Promise.resolve(value),
      (settled) => { state.settledResults[index] = { type: 'fulfilled', value: settled }; },
      (reason) => { state.settledResults[index] = { type: 'rejected', value: reason }; },
    );
  };

  const isThenable = (value) => value !== null && typeof value === 'object' && typeof value.then === 'function';

  /**
   * Creates a mock function. `original` is its default behaviour, also after `mockReset` if `keeps` is set; `restore`
   * puts back the function that a spy replaces.
   */
  const create = (original, { name = 'vi.fn()', keeps = true, restore = undefined } = {}) => {
    let own = newState();
    let implementation = original;
    let once = [];
    let label = name;

    const run = (self, args, target) => {
      const state = own;
      const index = state.calls.length;
      state.calls.push(args);
      state.invocationCallOrder.push(++order);
      state.contexts.push(self);
      state.instances.push(self);
      state.results.push({ type: 'incomplete', value: undefined });
      const act = once.length > 0 ? once.shift() : implementation;
      try {
        let value;
        if (target === undefined) value = act?.apply(self, args);
        else if (act !== undefined && Object.hasOwn(act, 'prototype')) value = Reflect.construct(act, args, target);
        else value = act?.apply(self, args) ?? self;
        state.results[index] = { type: 'return', value };
        if (target !== undefined) {
          state.instances[index] = value;
          state.contexts[index] = value;
        }
        if (isThenable(value)) noteSettled(state, index, value);
        else state.settledResults[index] = { type: 'fulfilled', value };
        return value;
      } catch (error) {
        state.results[index] = { type: 'throw', value: error };
        state.settledResults[index] = { type: 'rejected', value: error };
        throw error;
      }
    };
    const mock = function (...args) {
      return run(this, args, new.target);
    };
    const chain = (act) => (...args) => {
      act(...args);
      return mock;
    };
    const always = (value) => function () { return value; };
    const throwing = (error) => function () { throw error; };
    const later = (value) => async () => value;
    const rejecting = (error) => async () => { throw error; };
    const clear = () => { own = newState(); };
    const reset = () => {
      clear();
      once = [];
      implementation = keeps ? original : undefined;
    };
    const methods = {
      isMockFunction: true,
      _isMockFunction: true,
      getMockName: () => label,
      mockName: chain((text) => { label = text; }),
      getMockImplementation: () => once[0] ?? implementation,
      mockImplementation: chain((act) => { implementation = act; }),
      mockImplementationOnce: chain((act) => { once.push(act); }),
      mockReturnThis: chain(() => { implementation = function () { return this; }; }),
      mockClear: chain(clear),
      mockReset: chain(reset),
      mockRestore: () => {
        reset();
        if (restore !== undefined) {
          restore();
          spies.delete(mock);
        }
      },
      withImplementation: (act, body) => {
        const before = implementation;
        implementation = act;
        const back = () => { implementation = before; };
        const result = body();
        if (isThenable(result)) return result.then(() => { back(); return mock; }, (error) => { back(); throw error; });
        back();
        return mock;
      },
    };
    for (const [word, make] of Object.entries({ ReturnValue: always, ResolvedValue: later, RejectedValue: rejecting, Throw: throwing })) {
      methods[`mock${word}`] = chain((value) => { implementation = make(value); });
      methods[`mock${word}Once`] = chain((value) => { once.push(make(value)); });
    }
    for (const [key, value] of Object.entries(methods)) Object.defineProperty(mock, key, { value, configurable: true });
    const lastCall = { get: () => own.calls.at(-1), enumerable: false };
    Object.defineProperty(mock, 'mock', {
      get: () => (Object.hasOwn(own, 'lastCall') ? own : Object.defineProperty(own, 'lastCall', lastCall)),
    });
    if (Symbol.dispose !== undefined) Object.defineProperty(mock, Symbol.dispose, { value: () => methods.mockRestore() });
    Object.defineProperty(mock, 'name', { value: original?.name || 'mock', configurable: true });
    mocks.add(mock);
    if (restore !== undefined) spies.add(mock);
    return mock;
  };

  const wrong = (object, key, what) => new TypeError(`spyOn: ${String(key)} ${what}`);

  /** The property, and the object on which it is found. */
  const find = (object, key) => {
    for (let at = object; at !== null && at !== undefined; at = Object.getPrototypeOf(at)) {
      const descriptor = Object.getOwnPropertyDescriptor(at, key);
      if (descriptor !== undefined) return descriptor;
    }
    return undefined;
  };

  const spyOn = (object, key, accessor) => {
    if ((typeof object !== 'object' && typeof object !== 'function') || object === null) {
      throw new TypeError(`spyOn takes an object and the name of its method, not ${object === null ? 'null' : `a ${typeof object}`}`);
    }
    const hook = hooks.find((one) => one.object === object && one.key === key);
    if (hook !== undefined) {
      if (hook.spy !== undefined) return hook.spy;
      hook.spy = create(hook.original, { name: String(key), restore: () => { hook.spy = undefined; hook.replace(undefined); } });
      hook.replace(hook.spy);
      return hook.spy;
    }
    const found = find(object, key);
    if (found === undefined) throw wrong(object, key, 'is not a property of the object');
    const field = accessor ?? 'value';
    const original = found[field];
    if (isMock(original)) return original;
    if (typeof original !== 'function') {
      throw wrong(object, key, accessor === undefined ? 'is not a function; spy on a getter with spyOn(object, name, \'get\')' : `has no ${accessor}ter`);
    }
    if (object[Symbol.toStringTag] === 'Module') {
      throw wrong(object, key, 'is the export of a module, which cannot be replaced. Pass the function as an argument, or '
        + 'spy on an object that the module exports');
    }
    const own = Object.getOwnPropertyDescriptor(object, key);
    if (own === undefined ? !Object.isExtensible(object) : !own.configurable && !own.writable) {
      throw wrong(object, key, 'belongs to a frozen object, as in production');
    }
    const spy = create(original, {
      name: String(key),
      restore: () => {
        if (own === undefined) delete object[key];
        else Object.defineProperty(object, key, own);
      },
    });
    const shape = accessor === undefined
      ? { value: spy, writable: true, enumerable: found.enumerable, configurable: own?.configurable ?? true }
      : { get: found.get, set: found.set, [accessor]: spy, enumerable: found.enumerable, configurable: true };
    Object.defineProperty(object, key, shape);
    return spy;
  };

  return {
    create,
    spyOn,
    clearAll: () => mocks.forEach((mock) => mock.mockClear()),
    resetAll: () => mocks.forEach((mock) => mock.mockReset()),
    /** Restores all spies. */
    restoreAll: () => [...spies].forEach((spy) => spy.mockRestore()),
  };
})
