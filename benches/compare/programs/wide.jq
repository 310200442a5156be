.context.traits |= (
  .name = .firstName + " " + .lastName
  | .loyaltyPoints |= tonumber
  | del(.phone)
)
