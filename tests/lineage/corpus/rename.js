// event {"type":"identify","userId":"u-1","traits":{"first_name":"Ada","age":36}}
// passes type, userId, traits.age
// traits.first_name -> traits.firstName

export function transformEvent(event) {
  event.traits.firstName = event.traits.first_name;
  delete event.traits.first_name;
  return event;
}
