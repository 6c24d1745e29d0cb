"""How a model is fitted: one module a recipe."""
