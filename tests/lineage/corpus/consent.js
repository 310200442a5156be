// event {"userId":"u-1","consent":true,"traits":{"email":"ada@example.com"}}
// event {"userId":"u-2","consent":false,"traits":{"email":"bob@example.com"}}
// passes userId, traits.email
// consent -> opted_out
// consent ~> traits.email

export function transformEvent(event) {
  event.opted_out = !event.consent;
  if (!event.consent) delete event.traits.email;
  delete event.consent;
  return event;
}
