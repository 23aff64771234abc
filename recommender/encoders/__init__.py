"""Models that turn images into vectors: specs as data, one loader a source, one batcher."""
