//! REST APIs as a source.

#[allow(dead_code, reason = "the reader asks for pages")]
mod link;
#[allow(dead_code, reason = "the reader asks for pages")]
mod pages;
#[allow(dead_code, reason = "the reader asks for pages")]
mod parameter;
