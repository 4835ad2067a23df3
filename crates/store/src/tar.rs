//! Tar: reading every dialect met in images, writing one.
