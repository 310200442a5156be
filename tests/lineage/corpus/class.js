// event {"userId":"u-1","traits":{"first":"Ada","last":"Lovelace","born":1815}}
// userId -> person.id
// traits.first -> person.name
// traits.last -> person.name
// traits.born -> person.age

class Person {
  #traits;
  constructor(traits) {
    this.#traits = traits;
  }
  get name() {
    return [this.#traits.first, this.#traits.last].join(' ');
  }
  ageIn(year) {
    return year - this.#traits.born;
  }
}

export function transformEvent({ userId, traits }) {
  const person = new Person(traits);
  return { person: { id: userId, name: person.name, age: person.ageIn(1852) } };
}
