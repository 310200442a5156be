export function transform(event) { return event; }
