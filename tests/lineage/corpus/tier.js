// event {"event":"Order Completed","properties":{"total":250,"currency":"EUR"}}
// event {"event":"Order Completed","properties":{"total":20,"currency":"USD"}}
// passes event, properties.total, properties.currency
// properties.total ~> properties.tier

export function transformEvent(event) {
  event.properties.tier = event.properties.total > 100 ? 'gold' : 'silver';
  return event;
}
