// tries: importing a module of Node.js; verdict: load_error
import fs from 'node:fs';
export const transformEvent = (event) => event;
