// event {"traits":{"email":"a@b.example"},"id":"x"}
// event {"traits":{},"id":"y"}
// passes id
// traits.email ~> known

export const transformEvent = ({ id, traits }) => ({ id, known: 'email' in traits ? 'yes' : 'no' });
