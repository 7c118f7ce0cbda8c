"""Material that the project makes itself."""
