#!/usr/bin/env node
// Starts the program for this platform with the same arguments and streams, forwards signals, and exits with its status.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';

import { binary } from '../index.js';

let path;
try {
  path = binary();
} catch (error) {
  console.error(error.message);
  process.exit(2);
}
const child = spawn(path, process.argv.slice(2), { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']) process.on(signal, () => child.kill(signal));
child.on('error', (error) => {
  console.error(`sluicegate: cannot start ${path}: ${error.message}`);
  process.exit(2);
});
child.on('exit', (code, signal) => process.exit(signal === null ? code : 128 + constants.signals[signal]));
