"""The checks, a file a chapter. Each is one function with an id for life; rows of a dialect select and level them."""
