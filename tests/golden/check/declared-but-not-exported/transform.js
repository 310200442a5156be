const seen = new Set();

async function transformEvent(event) {
  return event;
}
