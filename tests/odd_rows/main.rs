//! One odd row never stops the rest: what no rule would let in, written past the rules; rows that the
//! database refuses to change; and a schema that lost its rules.

#[path = "../support/mod.rs"]
mod support;

mod refused;
mod rules;
mod values;
