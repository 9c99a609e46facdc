// layout/npy.h: the first pages of a segment, an .npy preamble that numpy.load reads.
//
//   \x93NUMPY | major 1, minor 0 | length u16 | dictionary, padded with spaces, '\n'     (ASCII)
//   \x93NUMPY | major 3, minor 0 | length u32 | the same in UTF-8                        (else)
//
// The preamble is padded to 4096 bytes, 8192 where it needs them, then further pages up to 61440;
// beyond 8192 numpy.load wants max_header_size (NumPy's limit of 10 000).
// Source: NumPy Enhancement Proposal 1 and numpy/lib/format.py's description of the versions.
// Threads: any. Processes: any. Blocks: no.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace ndshare::layout {

inline constexpr std::uint64_t kHeaderStepBytes = 4096;
inline constexpr std::uint64_t kHeaderBytesMax = 61440;

// The whole preamble; its size is a multiple of kHeaderStepBytes. Throws Invalid beyond the
// maximum.
std::string make_npy_header(const std::string& npy_descr, bool fortran_order,
                            const std::vector<std::int64_t>& shape);

}  // namespace ndshare::layout
