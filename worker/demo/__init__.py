"""The drawn demo catalog: products of known shape, colour and pattern, and how well they are found."""
