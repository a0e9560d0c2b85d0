//! One odd row never stops the rest: rows that the rules forbid, written without the triggers; rows
//! that the database refuses to change; and a schema that lost its rules.

mod refused;
mod rules;
mod values;
