// event {"type":"Track","id":"1"}
// passes id
// decides type

export function transformEvent(e) {
  if (e.type.toLowerCase() !== 'track') return null;
  return { id: e.id };
}
