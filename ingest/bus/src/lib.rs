//! How events, facts, policies and verdicts get on and off NATS JetStream.
