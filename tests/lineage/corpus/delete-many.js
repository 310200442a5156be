// event {"userId":"u","password":"p","token":"t","traits":{"ssn":"1-2","name":"Ada"}}
// passes userId, traits.name

export function transformEvent(event) {
  for (const key of ['password', 'token']) delete event[key];
  Reflect.deleteProperty(event.traits, 'ssn');
  return event;
}
