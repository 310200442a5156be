// tries: a top-level await that nothing settles; verdict: load_error
await new Promise(() => {});
export const transformEvent = (event) => event;
