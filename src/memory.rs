//! What the allocator does with large messages.

/// Blocks from this size on are given back to the system as soon as they are free. glibc raises its own
/// limit to the largest block that it has seen free, and keeps everything below that.
#[cfg(target_env = "gnu")]
const GIVEN_BACK_BYTES: libc::c_int = 256 * 1024;

/// Lets no large message leave its memory behind. Call it at the start.
pub fn give_back() {
    // SAFETY: it takes two numbers and changes a setting of the allocator.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, GIVEN_BACK_BYTES)
    };
}
