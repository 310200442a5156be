import lodash from 'lodash';
export function transformEvent(event) { return lodash.omit(event, "secret"); }
