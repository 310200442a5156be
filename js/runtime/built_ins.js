// Replaces built-ins of V8: coarser clocks, and functions without the compiler behind them. Runs before the lockdown,
// which protects the results against changes. `host.legacy` says whether the code mentions state of the whole isolate:
// the length of stack traces, and the last match of any regular expression. Then the code can use that state, and
// `restart` resets it before every event. `keep` is called when the modules have loaded.
((host) => {
  const { defineProperty, construct, getOwnPropertyDescriptor, setPrototypeOf, ownKeys } = Reflect;
  const uncurry = ((method) => Function.prototype.call.bind(method));
  const hide = ((object, key, value) =>
    defineProperty(object, key, { __proto__: null, value, writable: true, enumerable: false, configurable: true }));

  /** Reduces clocks to milliseconds, as `Date` has: finer ones could measure other programs on the same processor. */
  const coarse = (({ Now, Instant }) => {
    const { now } = Date;
    const { fromEpochMilliseconds } = Instant;
    const { timeZoneId } = Now;
    const inZone = uncurry(Instant.prototype.toZonedDateTimeISO);
    const { toPlainDateTime, toPlainDate, toPlainTime } = Temporal.ZonedDateTime.prototype;
    const instant = () => fromEpochMilliseconds(now());
    const zoned = (zone = timeZoneId()) => inZone(instant(), zone);
    const of = ((method) => {
      const part = uncurry(method);
      return (zone) => part(zoned(zone));
    });
    const own = {
      instant,
      zonedDateTimeISO: zoned,
      plainDateTimeISO: of(toPlainDateTime),
      plainDateISO: of(toPlainDate),
      plainTimeISO: of(toPlainTime),
    };
    for (const name of ['instant', 'zonedDateTimeISO', 'plainDateTimeISO', 'plainDateISO', 'plainTimeISO']) {
      Object.defineProperty(own[name], 'name', { value: name });
      Object.defineProperty(own[name], 'length', { value: 0 });
      hide(Now, name, own[name]);
    }
  });

  /**
   * Replaces `Function` by one that compiles nothing except the text with which libraries get the global object: V8
   * cannot allow single texts only.
   */
  const withoutCompiler = ((Compiler) => {
    const ASKS = ['return this', 'return(this)', 'return (this)'];
    const trim = uncurry(String.prototype.trim);
    const slice = uncurry(String.prototype.slice);
    const asksForGlobal = (text) => {
      let asked = trim(text);
      if (asked[asked.length - 1] === ';') asked = trim(slice(asked, 0, -1));
      for (let i = 0; i < ASKS.length; i++) if (asked === ASKS[i]) return true;
      return false;
    };
    const Caller = function Function(...parts) {
      if (parts.length === 1 && typeof parts[0] === 'string' && asksForGlobal(parts[0])) {
        return function anonymous() {
          return this === undefined || this === null ? globalThis : this;
        };
      }
      return construct(Compiler, parts, new.target ?? Compiler);
    };
    defineProperty(Caller, 'length', { __proto__: null, value: 1 });
    defineProperty(Caller, 'prototype', { __proto__: null, value: Compiler.prototype, writable: false });
    hide(Compiler.prototype, 'constructor', Caller);
    for (const one of [async function () {}, function* () {}, async function* () {}]) setPrototypeOf(one.constructor, Caller);
    hide(globalThis, 'Function', Caller);
  });

  /** The maximum number of frames in a stack trace. */
  const MAX_FRAMES = 50;

  // These would let memory grow without the allocator that counts it.
  delete ArrayBuffer.prototype.resize;
  coarse(Temporal);
  withoutCompiler(Function);
  // The `stack` of an error is its own property, but its accessors are shared by all code.
  Error.stackTraceLimit = 0;
  const { get, set } = getOwnPropertyDescriptor(new Error(), 'stack');
  Error.stackTraceLimit = MAX_FRAMES;
  // `Proxy` has no `prototype`, so it counts as a function that leads to no further objects: its property is listed
  // here.
  const hidden = [get, set, Proxy.revocable];

  // The code can assign `prepareStackTrace`, but it is never called: V8 would pass it objects that describe the
  // engine's own frames.
  const ignored = { get: () => undefined, set: () => {} };
  defineProperty(Error, 'prepareStackTrace', { __proto__: null, ...ignored, enumerable: false, configurable: false });

  if (!host.legacy) {
    // `$1` and similar properties show texts of another event, and can be assigned.
    for (const key of ownKeys(RegExp)) if (key !== 'name' && typeof RegExp[key] === 'string') delete RegExp[key];
    return { hidden, keep: () => {}, restart: undefined };
  }
  const NewError = Error;
  const exec = uncurry(RegExp.prototype.exec);
  const NOTHING = /(?:)/;
  let frames = MAX_FRAMES;
  return {
    hidden,
    keep: () => {
      if (NewError.stackTraceLimit < frames) frames = NewError.stackTraceLimit;
    },
    restart: () => {
      NewError.stackTraceLimit = frames;
      exec(NOTHING, '');
    },
  };
})
