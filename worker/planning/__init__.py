"""What a catalog will take: hours, memory, disk, and what each storage of its rows costs in recall."""
