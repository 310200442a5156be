// event {"userId":"u","context":{"ip":"203.0.113.7"}}
// answers {"geolocation":{"body":{"city":"Oslo","country":{"name":"Norway"}}}}
// passes userId, context.ip
// context.ip -> fetch(geolocation).ip
// network(geolocation).body.city -> context.city

export async function transformEvent(event) {
  const g = await geolocation(event.context.ip);
  event.context.city = g.city;
  return event;
}
