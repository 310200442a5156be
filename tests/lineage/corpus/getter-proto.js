// event {"a":{"first":"x","last":"y"}}
// a.first -> full
// a.last -> full

const proto = { get full() { return `${this.first}-${this.last}`; } };
export const transformEvent = (e) => ({ full: Object.setPrototypeOf({ ...e.a }, proto).full });
