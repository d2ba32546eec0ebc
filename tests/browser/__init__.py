"""The pages as a user sees them."""
