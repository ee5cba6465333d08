"""What a process needs whatever it computes: errors, files, seeds, locks, devices, other processes."""
