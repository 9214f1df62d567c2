//! The whole system in one deterministic process: clock, links, disks, faults, checker.
