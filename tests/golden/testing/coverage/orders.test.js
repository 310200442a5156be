import { slug } from './lib/slugs.ts';

test('a name', () => {
  expect(transform({ name: 'a b' })).toEmit({ name: 'a b', slug: 'a-b' });
});

test('the library', () => {
  expect(slug('a b c')).toBe('a-b-c');
});
