// event {"messageId":"m-1","userId":"u-1","traits":{"first":"Ada","last":"Lovelace"}}
// event {"messageId":"m-2","userId":"u-2","traits":{"first":"Bob","last":"Noyce"}}
// passes messageId, userId
// traits.first -> traits.name
// traits.last -> traits.name

export function transformBatch(events) {
  return events.map((event) => ({ ...event, traits: { name: `${event.traits.first} ${event.traits.last}` } }));
}
