// event {"userId":"u","props":{"n":"12"}}
// event {"userId":"u","props":{"n":"x"}}
// passes userId
// props.n -> n

export function transformEvent(event) {
  let n;
  try {
    n = BigInt(event.props.n).toString();
  } catch {
    n = 'bad';
  }
  return { userId: event.userId, n };
}
