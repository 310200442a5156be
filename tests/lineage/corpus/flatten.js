// event {"properties":{"address":{"city":"Berlin","geo":{"lat":52.5}},"vip":true}}
// properties.address.city -> properties.address_city
// properties.address.geo.lat -> properties.address_geo_lat
// properties.vip -> properties.vip

const flat = (value, prefix, out) => {
  for (const [key, inner] of Object.entries(value)) {
    if (typeof inner === 'object' && inner !== null) flat(inner, `${prefix}${key}_`, out);
    else out[prefix + key] = inner;
  }
  return out;
};

export const transformEvent = ({ properties }) => ({ properties: flat(properties, '', {}) });
