//! Files on their way into layers: which are meant, what they hold, and how they are put into a layer's directory.
//! Every path is resolved below a descriptor; nothing a context, a stage or an archive holds can lead out of it.

pub mod contents;
pub mod ignore;
pub mod pattern;
pub mod place;
pub mod select;
pub mod tree;
