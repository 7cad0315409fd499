//! Judging, from the outside: policies and inputs in, findings out.

// `cfg(test)` is always so here; it tells clippy that helpers are test code too.
#![cfg(test)]

mod audit;
mod baselines;
mod differences;
mod enforcement;
mod evidence;
mod explain;
mod fixture;
mod linking;
mod messages;
mod scope;
mod unknown;
mod validation;
