"""Kinds of links: each finds meters, delivers readings and carries commands back."""
