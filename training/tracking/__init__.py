"""What a fit tells other tools: MLflow, TensorBoard."""
