// event {"emails":[{"type":"home","address":"a@b.co"},{"type":"work","address":"c@d.co"}]}
// emails[].address -> email
// emails[].type ~> email

export const transformEvent = (e) => ({ email: e.emails.find((m) => m.type === 'work')?.address });
