// base/fault.h: places where a test makes this process die, stop or fail.
//
// NDSHARE_FAULT_POINT("book.after_rename") is nothing in a release build. In a checked build
// (NDSHARE_CHECKED) it looks at two environment variables, read once:
//   NDSHARE_FAULT=point:action[:count]   at the count-th pass (default 1) of the point:
//                                        kill (SIGKILL), stop (SIGSTOP), fail (SystemError EIO);
//                                        several with commas between
//   NDSHARE_FAULT_TRACE=file             appends the name of every point passed, one a line
// A point inside a noexcept function is NDSHARE_FAULT_POINT_QUIET: fail means nothing there.
// Threads: any. Processes: any. Blocks: only when told to stop.
#pragma once

namespace ndshare {
void fault_point(const char* point);
void fault_point_quiet(const char* point) noexcept;
}  // namespace ndshare

#ifdef NDSHARE_CHECKED
#define NDSHARE_FAULT_POINT(point) ::ndshare::fault_point(point)
#define NDSHARE_FAULT_POINT_QUIET(point) ::ndshare::fault_point_quiet(point)
#else
#define NDSHARE_FAULT_POINT(point) ((void)0)
#define NDSHARE_FAULT_POINT_QUIET(point) ((void)0)
#endif
