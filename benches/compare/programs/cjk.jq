.traits |= (
  .name = .familyName + " " + .givenName
  | .age |= tostring
  | del(.note)
)
