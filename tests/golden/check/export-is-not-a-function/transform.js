export const transformEvent = { pass: true };
