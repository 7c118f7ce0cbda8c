"""From datasets to what trainers read: a file per target."""
