// event {"type":"track","userId":"u-1","event":"Opened"}
// event {"type":"page","userId":"u-1","name":"Home"}
// event {"type":"track","event":"Opened"}
// passes type, userId, event, name
// decides type
// decides userId

export function transformEvent(event) {
  if (!event.userId) return null;
  if (event.type !== 'track') return null;
  return event;
}
