// event {"country":"de","plan":"pro"}
// event {"country":"fr","plan":"free"}
// country -> region
// plan ~> priority

const REGIONS = new Map([['de', 'DACH'], ['at', 'DACH'], ['fr', 'West'], ['it', 'South']]);
const VIP = new Set(['pro', 'enterprise']);
export const transformEvent = ({ country, plan }) => ({ region: REGIONS.get(country) ?? 'Other', priority: VIP.has(plan) ? 'high' : 'low' });
