// event {"userId":"u-1","traits":{"first":"Ada","last":"Lovelace","zip":"10115"}}
// passes userId
// traits.first -> traits.name
// traits.last -> traits.name
// traits.zip -> traits.region

import { fullName, regionOf } from 'names';

export function transformEvent(event) {
  const { traits } = event;
  return { ...event, traits: { name: fullName(traits), region: regionOf(traits.zip) } };
}
