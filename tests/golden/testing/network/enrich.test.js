const fetch = {
  'https://api.example.com/users/1': { body: { name: 'Ada' } },
  'https://api.example.com/users/2': { status: 404 },
  'https://api.example.com/users/3': new Error('connection refused'),
  'geolocation 8.8.8.8': { body: { country: 'US' } },
  'POST https://api.example.com/post': (url, { method, body }) => ({ body: { url, method, body } }),
};

test('answers come from the table', () => {
  expect(transform({ userId: 1, ip: '8.8.8.8', post: true }, { fetch })).toEmit({
    userId: 1, ip: '8.8.8.8', post: true, traits: { name: 'Ada' }, geo: { country: 'US' },
    posted: { url: 'https://api.example.com/post', method: 'POST', body: 'x' },
  });
  expect(transform({ userId: 2 }, { fetch })).toBeDropped();
  expect(transform({ userId: 3 }, { fetch })).toFailWith(/users\/3 failed, reason: connection refused/);
});

test('or from a function', () => {
  const asked = [];
  const answer = (url, { method }) => {
    asked.push(`${method} ${url}`);
    return { body: 'text' };
  };
  expect(transform({ userId: 9 }, { fetch: answer })).toEmit({ userId: 9, traits: 'text' });
  expect(asked).toEqual(['GET https://api.example.com/users/9']);
});

test('what is not recorded fails the test', () => {
  transform({ userId: 4 }, { fetch });
});

test('and so does what is not recorded for an address', () => {
  transform({ userId: 1, ip: '1.1.1.1' }, { fetch });
});

test('also where nothing is', () => {
  transform({ userId: 4 });
});

test('a function that throws is at fault itself', () => {
  transform({ userId: 4 }, { fetch() { throw new Error('no idea'); } });
});

test('an answer that is none is refused', () => {
  transform({ userId: 4 }, { fetch: { 'https://api.example.com/users/4': { statsu: 200 } } });
});

test('a promise is no answer', () => {
  transform({ userId: 4 }, { fetch: async () => ({ body: 1 }) });
});

test('the transformation is not called from within', () => {
  transform({ userId: 4 }, { fetch: () => transform({ userId: 1 }, { fetch }) });
});

test('a function that never ends is stopped', () => {
  transform({ userId: 4 }, { fetch() { for (;;); } });
});

test('and the next test goes on', () => {
  expect(transform({ userId: 2 }, { fetch })).toBeDropped();
});
