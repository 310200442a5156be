import { slug } from 'slugs';

// Not code.
export function transformEvent(event) {
  if (event.type === 'page') return null;
  if (event.items) {
    for (const item of event.items) {
      item.slug = slug(item.name);
    }
  } else {
    event.slug = slug(event.name);
  }
  return event;
}

function never() {
  return 1;
}
