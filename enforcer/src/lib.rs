//! Decides what is done about a violation, and does it.
