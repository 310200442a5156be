// event {"at":"2023-05-01T00:00:00Z","id":"1"}
// passes id
// at ~> fresh

export function transformEvent(e) {
  return { id: e.id, fresh: new Date(e.at) > new Date('2023-01-01') };
}
