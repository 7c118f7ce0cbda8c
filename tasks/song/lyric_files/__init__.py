"""Files of lyrics: which lie beside a song, in which format and encoding, and what is sung."""
