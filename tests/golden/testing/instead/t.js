export function transformBatch(events) { return events.map((e, i) => ({ ...e, i, n: events.length })); }
