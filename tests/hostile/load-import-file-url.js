// tries: importing a file: URL; verdict: load_error
import secrets from 'file:///etc/passwd';
export const transformEvent = (event) => event;
