// event {"messageId":"f9bf739c-d387-4263-bdba-8247720201ef","anonymousId":"a-1"}
// messageId -> id
// anonymousId -> anon

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
export function transformEvent(e) {
  return { id: UUID.test(e.messageId) ? e.messageId.replaceAll('-', '') : null, anon: e.anonymousId };
}
