// tries: Error.stackTraceLimit; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Error.stackTraceLimit = 0;
  Error.stackTraceLimit = NaN;
  Error.stackTraceLimit = Infinity;
  return event;
}
