"""Pages for people, on Gradio: listening to a dataset, teaching MusicGen a concept."""
