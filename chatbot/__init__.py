"""A customer-service assistant that answers from the company's own knowledge, with sources."""
