// event {"context":{"locale":"de","timezone":null}}
// event {"context":{"timezone":"Europe/Berlin"}}
// passes context.locale, context.timezone
// context.locale -> lang

export function transformEvent(event) {
  event.context.locale ||= 'en';
  event.context.timezone ??= 'UTC';
  event.lang = event.context.locale.split('-', 1)[0];
  return event;
}
