// event {"event":"Signed Up","properties":{"value":5}}
// passes event
// properties.value -> properties.signed_up
// event ~> properties.signed_up

export function transformEvent(event) {
  const key = event.event.toLowerCase().replaceAll(' ', '_');
  return { event: event.event, properties: { [key]: event.properties.value } };
}
