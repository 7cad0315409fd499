//! Remembers, and answers questions about what is remembered.
