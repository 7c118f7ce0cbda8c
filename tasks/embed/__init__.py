"""Steps of embeddings, which several jobs use."""
