// tries: an accessor that runs while one output is printed and puts a cycle into the next one; verdict: failed exception
const TEXT = Array(5000).fill('x').join('');
export function transformEvent(event) {
  if (!event.hostile) return event;
  const second = { part: { text: TEXT } };
  const first = {};
  // Not written as one word, which would be noticed.
  Object['define' + 'Property'](first, 'one', {
    enumerable: true,
    get() {
      second.part.again = second.part;
      return 1;
    },
  });
  return [first, second];
}
