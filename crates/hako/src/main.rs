//! hako: picks a role and hands over.
fn main() {}
