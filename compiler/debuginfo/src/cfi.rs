//! Call frame information: the rule for the CFA at a pc (DWARF 5, 6.4), from .eh_frame and .debug_frame.
