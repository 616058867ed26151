//! Prints the IR.
