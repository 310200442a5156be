// event {"traits":{"country_code":"de"}}
// event {"traits":{"country_code":"xx"}}
// passes traits.country_code
// traits.country_code -> traits.country

const COUNTRIES = { de: 'Germany', fr: 'France', se: 'Sweden', jp: 'Japan' };

export function transformEvent(event) {
  event.traits.country = COUNTRIES[event.traits.country_code] ?? 'elsewhere';
  return event;
}
