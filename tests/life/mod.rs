//! httpd's life: whatever ends, restarts, crashes or panics, production goes on and no copy lacks its outcome.

mod crashes;
mod descendants;
mod ends;
mod interrupted;
mod panics;
mod places;
mod restarts;
mod siege;
mod witness;
