//! Turns what outside systems write into events, without any I/O.
