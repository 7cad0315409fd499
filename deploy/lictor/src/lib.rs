//! The lictor executable: command line, role wiring, telemetry, exit codes.
