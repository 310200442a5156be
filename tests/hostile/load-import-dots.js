// tries: importing by climbing folders; verdict: load_error
import x from '../../../../etc/passwd';
export const transformEvent = (event) => event;
