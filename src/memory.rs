//! How the allocator treats large messages.

/// Blocks of this size or more are returned to the system as soon as they are freed. By default
/// glibc raises this limit to the largest block that was freed, and keeps everything below it.
#[cfg(target_env = "gnu")]
const GIVEN_BACK_BYTES: libc::c_int = 256 * 1024;

/// Makes sure that the memory of large messages is returned. Call it at the start.
pub fn give_back() {
    // SAFETY: it takes two numbers and changes a setting of the allocator.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, GIVEN_BACK_BYTES)
    };
}
