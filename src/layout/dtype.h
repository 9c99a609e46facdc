// layout/dtype.h: what a dtype's text means: how many bytes an element has, its one spelling, and
// what NumPy reads in an .npy header. The text is numpy.dtype.descr as Python prints it ("<f4",
// "[('q', '<f8', (7,)), ('', '|V4')]"), with the names of ml_dtypes' types beside NumPy's letters.
//
// Grammar: descr := scalar | '[' record { ',' record } ']' ;  record := '(' name ',' descr [','
// shape] ')'
//          name := string | '(' string ',' string ')' (title, name) ;  shape := int | '(' ints ')'
// Threads: any. Processes: any. Blocks: no. Errors: Invalid, with the text.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace ndshare::layout {

struct DtypeMeaning {
    std::string canonical;  // one spelling for one meaning: "f4" becomes "<f4"
    std::string npy_descr;  // the same with ml_dtypes as void of their size
    std::uint64_t itemsize = 0;
};

// Throws Invalid for text that is no dtype, and for object and variable-width dtypes with a hint.
DtypeMeaning parse_dtype(std::string_view text);

}  // namespace ndshare::layout
