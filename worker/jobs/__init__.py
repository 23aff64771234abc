"""What runs in the background, one file each."""
