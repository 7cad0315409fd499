//! The store's tests from outside, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise, its helpers too"
)]

mod crash;
mod http;
mod model;
mod naive;
mod policies;
mod real;
mod rules;
mod support;
