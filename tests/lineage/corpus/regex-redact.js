// event {"message":"call +44 20 7946 0958 now","id":1}
// passes id
// message -> message (computed)

export function transformEvent(e) {
  e.message = e.message.replace(/\+?\d[\d ]{6,}/g, '#');
  return e;
}
