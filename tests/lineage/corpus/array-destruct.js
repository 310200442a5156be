// event {"geo":"52.52,13.405","path":["home","shop","tea"]}
// geo -> lat
// geo -> lon
// path[] -> section
// path[] -> page

export function transformEvent({ geo, path }) {
  const [lat, lon] = geo.split(',').map(Number);
  const [section, ...rest] = path;
  return { lat, lon, section, page: rest.at(-1) };
}
