import { v4, v7 } from 'uuid';

export function transformEvent(event) {
  setTimeout(() => log('late'), 10);
  event.id = v4();
  event.body = Buffer.from(JSON.stringify(event)).toString('base64');
  event.host = typeof window === 'object' ? window.location.host : process.env.HOST;
  return evnt;
}
