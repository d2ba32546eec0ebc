"""What alarms are made of, without Home Assistant."""
