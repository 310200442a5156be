// A service on loopback that answers every request after some milliseconds.
//
//   node service.mjs [MILLISECONDS]
//
// It prints its port, and ends when its standard input does.

import { createServer } from 'node:http';

const latency = Number(process.argv[2] ?? 50);
const server = createServer((request, response) => {
  request.resume();
  setTimeout(() => {
    response.setHeader('content-type', 'application/json');
    response.end('{"plan":"pro","seats":12}');
  }, latency);
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', 4096, () => console.log(server.address().port));
process.stdin.on('end', () => process.exit()).resume();
