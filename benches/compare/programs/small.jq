.traits.name = .traits.firstName + " " + .traits.lastName
| .traits.age |= tonumber
| del(.context.ip)
