import { round } from 'numbers';

export const transformEvent = (event) => ({ ...event, price: round(event.price) });
