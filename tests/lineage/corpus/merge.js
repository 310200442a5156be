// event {"traits":{"plan":"pro","lang":"de"}}
// event {"traits":{"plan":"team"}}
// passes traits.plan, traits.lang
// (constant) -> traits.version

const DEFAULTS = { plan: 'free', lang: 'en', version: 2 };

export function transformEvent(event) {
  return { traits: Object.assign({}, DEFAULTS, event.traits) };
}
