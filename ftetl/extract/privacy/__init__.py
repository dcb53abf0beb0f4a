"""Personal data in responses: what names a person, pseudonyms, and a source that replaces them."""
