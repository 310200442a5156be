// The page's requests to the program that served it. The token is after `#` in the address: no browser sends that part
// anywhere, so it is sent in a header here.

// Kept for a reload of the same tab, and in case the user has removed it from the address.
const KEY = 'sluicegate-token';
const token = () => {
  const given = tokenOf(location.hash);
  if (given !== undefined) sessionStorage.setItem(KEY, given);
  return given ?? sessionStorage.getItem(KEY) ?? '';
};

/** The token in the part after `#`; the rest of that part belongs to a link. */
export const tokenOf = (hash) => /(?:^#?|&)([0-9a-f]{32})(?:&|$)/.exec(hash)?.[1];
export const hasToken = () => token() !== '';

/** An answer that rejects a request; `status` is the HTTP status. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const call = async (method, path, body, signal) => {
  const headers = { 'x-sluicegate-token': token() };
  if (body !== undefined) headers['content-type'] = 'application/json';
  const answer = await fetch(`api/${path}`, { method, headers, signal, body: body && JSON.stringify(body) });
  const text = await answer.text();
  if (answer.ok) return text;
  let message = text;
  try {
    message = JSON.parse(text).error;
  } catch {
    // The answer is not from sluicegate, so its text is shown.
  }
  throw new Refused(answer.status, message);
};

const file = (path) => `file?path=${encodeURIComponent(path)}`;

export const project = async () => JSON.parse(await call('GET', 'project'));
export const read = async (path) => JSON.parse(await call('GET', file(path)));
export const save = async (path, text, base) => JSON.parse(await call('PUT', file(path), { text, base }));
/** As text, because its numbers may be beyond JavaScript's. */
export const attempt = (trial, signal) => call('POST', 'try', trial, signal);
/** Runs the tests that are on disk. */
export const test = async () => JSON.parse(await call('POST', 'test'));
export const lineage = async (trial, signal) => JSON.parse(await call('POST', 'lineage', trial, signal));
export const addCase = async (trial, name) => JSON.parse(await call('POST', 'case', { ...trial, name }));
