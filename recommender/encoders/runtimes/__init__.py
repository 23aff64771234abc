"""What runs an encoder's image graph: one file a runtime, all behind one protocol."""
