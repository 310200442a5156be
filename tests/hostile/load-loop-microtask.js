// tries: an endless promise chain at the top level; verdict: load_error
const go = () => Promise.resolve().then(go);
await go();
export const transformEvent = (event) => event;
