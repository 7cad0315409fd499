//! The harness of the tests that need two rooms or a real server.
