// tries: an event that prints as nothing; verdict: failed bad_return|exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { toJSON: () => undefined };
}
