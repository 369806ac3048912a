"""What commands promise while the machine, the disk, the data or a stranger misbehaves; long forms are marked slow."""
