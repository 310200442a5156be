(function (global, factory) {
  typeof exports === 'object' && typeof module !== 'undefined' ? factory(exports) :
  typeof define === 'function' && define.amd ? define(['exports'], factory) :
  (global = typeof globalThis !== 'undefined' ? globalThis : global || self, factory(global.counter = {}));
})(this, function (exports) {
  exports.seen = new Map();
});

export function transformEvent(event) {
  event.seen = counter.seen.has(event.id);
  counter.seen.set(event.id, true);
  try {
    event.page = window.location.href;
  } catch {
    event.page = 'window' in globalThis ? window.name : null;
  }
  return event;
}
