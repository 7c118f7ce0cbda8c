"""Networks that are trained to separate here, and what makes each a model like any other."""
