// What the page asks of the program that served it. The token stands behind `#` in the address: no browser sends that
// part anywhere, so it goes into a header here.

// For a reload of the same tab, and after the address was tidied by hand.
const KEY = 'sluicegate-token';
const token = () => {
  const given = tokenOf(location.hash);
  if (given !== undefined) sessionStorage.setItem(KEY, given);
  return given ?? sessionStorage.getItem(KEY) ?? '';
};

/** The token in what stands behind `#`; the rest of it is a link's. */
export const tokenOf = (hash) => /(?:^#?|&)([0-9a-f]{32})(?:&|$)/.exec(hash)?.[1];
export const hasToken = () => token() !== '';

/** An answer that says no; `status` is HTTP's. */
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
    // Not one of ours; the text will do.
  }
  throw new Refused(answer.status, message);
};

const file = (path) => `file?path=${encodeURIComponent(path)}`;

export const project = async () => JSON.parse(await call('GET', 'project'));
export const read = async (path) => JSON.parse(await call('GET', file(path)));
export const save = async (path, text, base) => JSON.parse(await call('PUT', file(path), { text, base }));
/** As text: the numbers in it may be more than JavaScript's. */
export const attempt = (trial, signal) => call('POST', 'try', trial, signal);
/** Runs the tests that are on disk. */
export const test = async () => JSON.parse(await call('POST', 'test'));
export const lineage = async (trial, signal) => JSON.parse(await call('POST', 'lineage', trial, signal));
export const addCase = async (trial, name) => JSON.parse(await call('POST', 'case', { ...trial, name }));
