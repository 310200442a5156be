// A transformation service like those of event servers that use Node and isolated-vm: each request
// creates an isolate, compiles the code, passes the events in and out as structured copies, and
// disposes of the isolate. An event that throws fails alone; limits apply to the batch.
//
//   node host.mjs PACKAGE FOLDER     prints the port that it listens on
//
// PACKAGE is the folder of isolated-vm, FOLDER has <VersionID>.js.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const MEMORY_LIMIT = 128;
const TIME_LIMIT = 4000;

const [packageFolder, folder] = process.argv.slice(2);
const ivm = createRequire(import.meta.url)(resolve(packageFolder));

// Code is read once, as a service caches the answers of its config backend.
const sources = new Map();
const source = (id) => {
  if (!sources.has(id)) sources.set(id, readFileSync(join(folder, `${id}.js`), 'utf8'));
  return sources.get(id);
};

const camelCase = (name) => name.replace(/[-_ ]+(.)/g, (_, letter) => letter.toUpperCase());

const DRIVER = `
  import { transformEvent } from 'transformation';
  export const run = async (events) => {
    const rows = [];
    for (const { message, metadata } of events) {
      try {
        const output = await transformEvent(message, () => metadata);
        if (output === null || output === undefined) continue;
        for (const one of Array.isArray(output) ? output : [output]) rows.push({ output: one, metadata, statusCode: 200 });
      } catch (error) {
        rows.push({ statusCode: 400, error: String(error), metadata });
      }
    }
    return rows;
  };
`;

const transform = async (events) => {
  const version = events[0].destination.Transformations[0].VersionID;
  const libraries = (events[0].libraries ?? []).map((library) => library.VersionID);
  const isolate = new ivm.Isolate({ memoryLimit: MEMORY_LIMIT });
  try {
    const context = await isolate.createContext();
    const modules = new Map();
    for (const id of libraries) modules.set(camelCase(id), await isolate.compileModule(source(id)));
    modules.set('transformation', await isolate.compileModule(source(version)));
    const driver = await isolate.compileModule(DRIVER);
    await driver.instantiate(context, (specifier) => modules.get(specifier));
    await driver.evaluate();
    const run = await driver.namespace.get('run', { reference: true });
    return await run.apply(undefined, [new ivm.ExternalCopy(events).copyInto()], {
      result: { promise: true, copy: true },
      timeout: TIME_LIMIT,
    });
  } finally {
    isolate.dispose();
  }
};

const server = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', async () => {
    try {
      const rows = await transform(JSON.parse(Buffer.concat(chunks)));
      const answer = Buffer.from(JSON.stringify(rows));
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length, apiVersion: '2' });
      response.end(answer);
    } catch (error) {
      response.writeHead(500);
      response.end(String(error));
    }
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
