// event {"email":"ada@gmail.com","id":"1"}
// passes id
// email ~> personal

export function transformEvent(e) {
  const o = { id: e.id };
  o.personal = /@(gmail|gmx)\.com$/.test(e.email);
  return o;
}
