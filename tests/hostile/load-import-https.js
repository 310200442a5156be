// tries: importing over the network; verdict: load_error
import x from 'https://example.com/x.js';
export const transformEvent = (event) => event;
