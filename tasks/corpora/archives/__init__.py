"""Archives, opened safely."""
