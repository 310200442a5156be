// `fetch`, `fetchV2` and `geolocation` while the network is off. They exist, so that a transformation that asks whether
// it may is answered in the way it knows, instead of failing on a missing name.
(() => {
  const NewError = Error;
  const test = Function.prototype.call.bind(RegExp.prototype.test);
  const OFF = 'network access is off';
  const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/;
  const IPV6 =
    /^(?:(?:[\da-f]{1,4}:){7}[\da-f]{1,4}|(?=(?:[\da-f]{0,4}:){2,7}[\da-f]{0,4}$)(?:[\da-f]{1,4}(?::[\da-f]{1,4})*)?::(?:[\da-f]{1,4}(?::[\da-f]{1,4})*)?)$/i;

  const fetch = async (_url, _options) => 'ERROR';

  const fetchV2 = async (url, _options) => {
    throw new NewError(`request to ${typeof url === 'string' ? url : 'the given URL'} failed: ${OFF}`);
  };

  const geolocation = async (ip) => {
    if (ip === undefined || ip === null || ip === '') throw new NewError('ip address is required');
    if (typeof ip !== 'string' || !(test(IPV4, ip) || test(IPV6, ip))) throw new NewError('invalid ip address');
    throw new NewError('geolocation is not available right now');
  };

  return { fetch, fetchV2, geolocation };
})
