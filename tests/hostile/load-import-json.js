// tries: importing JSON by path; verdict: load_error
import x from './package.json' with { type: 'json' };
export const transformEvent = (event) => event;
