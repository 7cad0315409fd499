//! The doors: sources hand bytes in, events go out on the bus.
