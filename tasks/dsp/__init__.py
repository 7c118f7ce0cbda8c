"""Signal kernels: arrays in, arrays out; no files, no Prefect."""
