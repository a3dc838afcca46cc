"""Statistics and maps of attention over long contexts, without ever holding the weights."""
