// event {"payload":"{\"user\":{\"name\":\"Ada\",\"age\":36},\"tags\":[\"a\",\"b\"]}","id":1}
// passes id
// payload(json).user.name -> name
// payload(json).user.age ~> adult
// payload(json).tags[] -> tag

export function transformEvent({ id, payload }) {
  const { user, tags } = JSON.parse(payload);
  return { id, name: user.name, adult: user.age >= 18, tag: tags[0] };
}
