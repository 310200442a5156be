// tries: importing a file of the host; verdict: load_error
import secrets from '/etc/passwd';
export const transformEvent = (event) => event;
