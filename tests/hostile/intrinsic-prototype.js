// tries: another prototype for every intrinsic; verdict: ok
// with: intrinsics

export function transformEvent(event, metadata) {
  if (!event.hostile) {
    check(event);
    return event;
  }
  const evil = function () { throw new Error('poisoned'); };
  const poison = { call: evil, apply: evil, bind: evil, toString: evil, valueOf: evil, hasOwnProperty: evil, then: evil, toJSON: evil };
  const changed = [];
  for (const one of intrinsics(event, metadata)) {
    if (Reflect.getPrototypeOf(one) !== poison && Reflect.setPrototypeOf(one, poison)) changed.push(pathOf.get(one));
  }
  if (changed.length > 0) throw new Error(`${changed.length} got another prototype: ${changed.slice(0, 20)}`);
  return event;
}
