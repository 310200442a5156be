// tries: an endless loop at the top level; verdict: load_error
for (;;) {}
export const transformEvent = (event) => event;
