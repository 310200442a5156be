// tries: log, console and getCredential; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  globalThis.log = () => { throw new Error('poisoned'); };
  console.log = () => { throw new Error('poisoned'); };
  globalThis.console = undefined;
  globalThis.getCredential = () => 'poisoned';
  return event;
}
