// event {"list":[{"k":"a","v":"1"},{"k":"b","v":"2"}],"want":"b"}
// list[].v -> found
// list[].k ~> found
// want ~> found

export function transformEvent({ list, want }) {
  let found = null;
  for (let i = 0; i < list.length; i++) {
    if (list[i].k !== want) continue;
    found = list[i].v;
    break;
  }
  return { found };
}
