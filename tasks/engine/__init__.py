"""How both contracts run: plan, batches, results, records of runs."""
