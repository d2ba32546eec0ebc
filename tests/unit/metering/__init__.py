"""Guard, derivation, integration."""
