// event {"user":{"id":"u1","address":{"zip":"10115","city":"Berlin"}},"ts":1700000000}
// user.id -> id
// user.address.city -> place
// user.address.zip -> place
// ts -> when

class Address { constructor({ zip, city }) { Object.assign(this, { zip, city }); } toString() { return `${this.zip} ${this.city}`; } }
class User { constructor(raw) { this.id = raw.id; this.address = new Address(raw.address); } static of(raw) { return new this(raw); } }
export const transformEvent = (event) => {
  const user = User.of(event.user);
  return { id: user.id, place: String(user.address), when: new Date(event.ts * 1000).toISOString() };
};
