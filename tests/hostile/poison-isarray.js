// tries: Array.isArray and Error.isError; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Array.isArray = () => true;
  Error.isError = () => true;
  Number.isFinite = () => false;
  return event;
}
