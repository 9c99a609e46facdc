#include "layout/npy.h"

#include <algorithm>

#include "base/check.h"

namespace ndshare::layout {

std::string make_npy_header(const std::string& npy_descr, bool fortran_order,
                            const std::vector<std::int64_t>& shape) {
    std::string dictionary = "{'descr': " + npy_descr + ", 'fortran_order': ";
    dictionary += fortran_order ? "True" : "False";
    dictionary += ", 'shape': (";
    for (std::size_t k = 0; k < shape.size(); ++k) {
        dictionary += (k == 0 ? "" : " ") + std::to_string(shape[k]);
        if (k + 1 < shape.size() || shape.size() == 1) dictionary += ",";
    }
    dictionary += "), }";

    const bool ascii = std::all_of(dictionary.begin(), dictionary.end(),
                                   [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    const std::size_t length_bytes = ascii ? 2 : 4;
    const std::size_t before = 8 + length_bytes;
    const std::size_t needed = before + dictionary.size() + 1;  // and the newline
    const std::size_t total = (needed + kHeaderStepBytes - 1) / kHeaderStepBytes * kHeaderStepBytes;
    if (total > kHeaderBytesMax) {
        throw Invalid("the dtype's description takes " + std::to_string(needed) +
                      " bytes, an .npy header holds " + std::to_string(kHeaderBytesMax));
    }

    std::string header = "\x93NUMPY";
    header += static_cast<char>(ascii ? 1 : 3);
    header += '\0';
    const std::size_t length = total - before;
    for (std::size_t k = 0; k < length_bytes; ++k) {
        header += static_cast<char>((length >> (8 * k)) & 0xff);
    }
    header += dictionary;
    header.resize(total - 1, ' ');
    header += '\n';
    return header;
}

}  // namespace ndshare::layout
