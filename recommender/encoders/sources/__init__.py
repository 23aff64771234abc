"""Where architectures and their weights come from: one file a library, all with the same functions."""
