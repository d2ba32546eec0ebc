"""Messages to people through messenger gateways."""
