// event {"userId":"u-1"}
// passes userId
// clock -> at
// random -> sample

export function transformEvent(event) {
  return { ...event, at: new Date().toISOString(), sample: Math.random() };
}
