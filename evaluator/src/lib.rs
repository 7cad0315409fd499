//! Moves events through the engine.
