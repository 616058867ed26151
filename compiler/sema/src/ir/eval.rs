//! Runs the IR, slowly and checked.
