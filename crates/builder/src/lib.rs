//! From a Dockerfile to layers: the language, the graph of steps, the cache, and copying files into layers. What runs
//! containers, pulls images and fetches addresses comes in through one trait. Leaves out HTTP and the engine's records.

pub mod dockerfile;
