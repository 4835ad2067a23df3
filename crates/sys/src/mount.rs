//! Mounts by descriptor: detached file systems and trees, attached where an open descriptor says.
