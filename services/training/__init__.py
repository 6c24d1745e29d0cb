"""From labelled examples to a model version: dataset, split, recipe, evaluation, registry. Django-free."""
