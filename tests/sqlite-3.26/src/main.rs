//! `sqlite-3-26 FILE < SQL`: prints rows as `a|b`, an error as `Error: ...` with exit status 1.

use libsqlite3_sys as ffi;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io::Read;
use std::ptr;

extern "C" fn print_row(_: *mut c_void, n: c_int, values: *mut *mut c_char, _: *mut *mut c_char) -> c_int {
    let text = |i| unsafe {
        let value = *values.offset(i as isize);
        if value.is_null() { String::new() } else { CStr::from_ptr(value).to_string_lossy().into_owned() }
    };
    println!("{}", (0..n).map(text).collect::<Vec<_>>().join("|"));
    0
}

fn main() {
    let file = CString::new(std::env::args().nth(1).expect("a file")).expect("a path");
    let mut sql = String::new();
    std::io::stdin().read_to_string(&mut sql).expect("SQL");
    let sql = CString::new(sql).expect("SQL without NUL");
    unsafe {
        let mut db = ptr::null_mut();
        assert_eq!(ffi::sqlite3_open(file.as_ptr(), &mut db), ffi::SQLITE_OK);
        ffi::sqlite3_busy_timeout(db, 5000);
        let mut message = ptr::null_mut();
        let rc = ffi::sqlite3_exec(db, sql.as_ptr(), Some(print_row), ptr::null_mut(), &mut message);
        if rc != ffi::SQLITE_OK {
            eprintln!("Error: {}", CStr::from_ptr(message).to_string_lossy());
            std::process::exit(1);
        }
        ffi::sqlite3_close(db);
    }
}
