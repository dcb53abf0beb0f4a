"""People's data in answers: what names a person, pseudonyms, and a source that replaces them."""
