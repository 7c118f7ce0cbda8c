"""Our time-frequency network: it shares the bins of a spectrogram between the sources."""
