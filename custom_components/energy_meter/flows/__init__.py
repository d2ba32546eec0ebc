"""The steps of setting up: one module per subject, put together in `config_flow.py`."""
