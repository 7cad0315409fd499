//! Accepts TCP connections for the roles: limits, drain, probes.
