select(.context.traits.plan == "enterprise")
| .context.traits |= (.name = .firstName + " " + .lastName)
