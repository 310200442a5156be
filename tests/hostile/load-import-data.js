// tries: importing a data: URL; verdict: load_error
import x from 'data:text/javascript,export default 1';
export const transformEvent = (event) => event;
