"""The Open Inference Protocol (V2), as KServe, Triton and their clients speak it."""
