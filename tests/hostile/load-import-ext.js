// tries: importing an internal module of deno; verdict: load_error
import { core } from 'ext:core/mod.js';
export const transformEvent = (event) => event;
