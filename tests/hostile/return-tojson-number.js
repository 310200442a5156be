// tries: an event that prints as a number; verdict: failed bad_return|exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { toJSON: () => 1 };
}
