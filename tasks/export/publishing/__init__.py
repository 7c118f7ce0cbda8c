"""What a published export needs: licences summed up, and the way to the hub."""
