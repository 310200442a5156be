// tries: replacing the intrinsics that the engine uses while loading; verdict: ok
JSON.parse = () => ({ poisoned: 1 });
JSON.stringify = () => '{"poisoned":1}';
Array.isArray = () => true;
Object.prototype.toString = () => '[object Poisoned]';
Function.prototype.call = () => 'poisoned';
Map.prototype.get = () => 'poisoned';
String = () => 'poisoned';
Promise.prototype.then = function () { return this; };
export const transformEvent = (event) => event;
