export const fullName = ({ first, last }) => `${last}, ${first}`;

const REGIONS = { 1: 'north', 2: 'south', 3: 'west', 4: 'east' };

export const regionOf = (zip) => REGIONS[zip[0]] ?? 'abroad';
