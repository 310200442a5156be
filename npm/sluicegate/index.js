// Finds the program for this platform.
import { createRequire } from 'node:module';

/**
 * Returns the path of the program.
 * @returns {string}
 */
export function binary() {
  if (process.env.SLUICEGATE_BIN) return process.env.SLUICEGATE_BIN;
  const name = `@sluicegate/${process.platform}-${process.arch}`;
  try {
    return createRequire(import.meta.url).resolve(`${name}/bin/sluicegate`);
  } catch {
    throw new Error(`sluicegate: the package ${name} is not installed. There is one for linux-x64; install without --omit=optional, or set SLUICEGATE_BIN.`);
  }
}
