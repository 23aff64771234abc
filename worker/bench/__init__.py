"""What bounds this machine with these images: every stage alone, the whole, and what to do about it."""
