/**
 * An amount with two digits.
 *
 * @param {number} amount
 */
export const round = (amount) => Math.round(amount * 100) / 100;
