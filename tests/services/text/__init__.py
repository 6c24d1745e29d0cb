"""Language, sentences."""
