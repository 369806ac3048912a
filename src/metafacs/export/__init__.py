"""A trained detector as one ONNX file: pre-processing, network and all that a user of it has to know."""
