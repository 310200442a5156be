// event {"type":"identify","userId":"u-1","traits":{"email":"ada@example.com"}}
// event {"type":"track","userId":"u-1","event":"Opened"}
// event {"type":"page","userId":"u-1","name":"Home"}
// userId -> id
// traits.email -> email
// event -> name
// type ~> kind
// type ~> email
// type ~> name
// decides type

export function transformEvent(event) {
  switch (event.type) {
    case 'identify':
      return { kind: 'user', id: event.userId, email: event.traits?.email };
    case 'track':
      return { kind: 'event', id: event.userId, name: event.event };
    default:
      return null;
  }
}
