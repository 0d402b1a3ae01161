"""Documents that are longer than a model's window: counted, split, worked on piece by piece, cited."""
