// tries: Object.prototype.toJSON while loading, gone when the first event comes; verdict: ok
Object.prototype.toJSON = function () { return this; };
delete Object.prototype.toJSON;
export const transformEvent = (event) => event;
