//! The cache as applications and processes share it.
