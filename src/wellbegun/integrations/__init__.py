"""Health for training tools: TensorBoard, Weights & Biases, Lightning, transformers."""
