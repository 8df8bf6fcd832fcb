"""What the core and plugins agree on: types, hooks, options, weights, and whether a class follows them."""
