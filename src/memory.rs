//! How the allocator treats large messages.

/// Blocks of this size or more are returned to the system as soon as they are freed. By default
/// glibc raises this limit to the largest block that was freed, and keeps everything below it.
#[cfg(target_env = "gnu")]
const GIVEN_BACK_BYTES: libc::c_int = 256 * 1024;

/// As much free memory as glibc keeps at the end of its heap. With the limit above it would keep 128 KiB, and
/// return and ask for the memory of small messages again and again.
#[cfg(target_env = "gnu")]
const KEPT_BYTES: libc::c_int = 4 * 1024 * 1024;

/// Makes sure that the memory of large messages is returned. Call it at the start.
pub fn give_back() {
    // SAFETY: each takes two numbers and changes a setting of the allocator.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, GIVEN_BACK_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
    }
}
