"""Where vectors and documents are kept: one protocol, two engines."""
