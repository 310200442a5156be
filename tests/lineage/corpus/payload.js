// event {"event":"Imported","properties":{"payload":"{\"id\":\"p-1\",\"size\":3}"}}
// passes event, properties.payload
// properties.payload(json).id -> properties.id

export function transformEvent(event) {
  event.properties.id = JSON.parse(event.properties.payload).id;
  return event;
}
