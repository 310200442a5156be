export async function transformEvent(event) {
  event.sum = eval('1 + 1');
  event.copy = new Function('a', 'return a')(event.id);
  event.again = arguments.callee;
  Array.prototype.last = 1;
  const hash = await import('hash');
  return hash.md5(event);
}
