//! Compress every static file exactly once, keep the result on disk, and never make anyone wait.


