"""When customers buy, and whether they have left: the models and their likelihoods."""
