//! httpd's life: whatever ends, restarts, crashes or panics, production goes on and no copy lacks its outcome.

mod descendants;
mod interrupted;
mod panics;
