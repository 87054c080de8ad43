//! The rights of a replica at a shared store.

/// The rights of a replica at a shared store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TierMode {
    /// It reads objects, and stores what it encodes. This is the default.
    #[default]
    ReadWrite,
    /// It reads objects only.
    ReadOnly,
}
