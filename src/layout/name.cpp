#include "layout/name.h"

#include <cstdint>
#include <cstdio>

#include "base/check.h"
#include "layout/hash.h"

namespace ndshare::layout {
namespace {

constexpr std::size_t kFileNameBytesMax = 200;
constexpr std::size_t kMemfdNameBytesMax = 249;  // memfd_create(2): NAME_MAX less "memfd:"
constexpr std::string_view kMemfdPrefix = "ndshare:";

// Bytes of the UTF-8 sequence at the front, 0 when it is none (overlong forms, surrogates).
std::size_t utf8_length(std::string_view text) {
    const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
    const auto follows = [&](std::size_t k) { return k < text.size() && (byte(k) & 0xc0) == 0x80; };
    const unsigned char first = byte(0);
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {
        if (!follows(1) || !follows(2)) return 0;
        if (first == 0xe0 && byte(1) < 0xa0) return 0;
        if (first == 0xed && byte(1) > 0x9f) return 0;
        return 3;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        if (!follows(1) || !follows(2) || !follows(3)) return 0;
        if (first == 0xf0 && byte(1) < 0x90) return 0;
        if (first == 0xf4 && byte(1) > 0x8f) return 0;
        return 4;
    }
    return 0;
}

std::string hashed(std::string_view full_name) {
    char text[40];
    std::snprintf(text, sizeof text, "#%016llx%016llx",
                  static_cast<unsigned long long>(hash_bytes(full_name, 1)),
                  static_cast<unsigned long long>(hash_bytes(full_name, 2)));
    return text;
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

std::string made_utf8(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        if (length == 0) {
            out += '?';
            text.remove_prefix(1);
            continue;
        }
        out += text.substr(0, length);
        text.remove_prefix(length);
    }
    return out;
}

bool is_plain_utf8(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t length = utf8_length(text.substr(at));
        const auto byte = static_cast<unsigned char>(text[at]);
        if (length == 0 || byte < 0x20 || byte == 0x7f) return false;
        at += length;
    }
    return true;
}

void require_name(std::string_view name) {
    if (name.empty()) throw Invalid("a name must not be empty");
    if (name.size() > kNameBytesMax) {
        throw Invalid("a name has at most " + std::to_string(kNameBytesMax) +
                      " bytes of UTF-8, this one " + std::to_string(name.size()));
    }
    for (std::size_t at = 0; at < name.size();) {
        const std::size_t length = utf8_length(name.substr(at));
        if (length == 0) throw Invalid("a name must be UTF-8");
        const auto byte = static_cast<unsigned char>(name[at]);
        if (byte == 0) throw Invalid("a name must not contain NUL");
        if (byte < 0x20 || byte == 0x7f) {
            throw Invalid("a name must not contain control characters");
        }
        at += length;
    }
    if (name.front() == '/') throw Invalid("a name must not begin with \"/\"");
    if (name.back() == '/') throw Invalid("a name must not end with \"/\"");
    for (std::size_t begin = 0; begin <= name.size();) {
        const std::size_t end = std::min(name.find('/', begin), name.size());
        const auto part = name.substr(begin, end - begin);
        if (part.empty()) throw Invalid("a name must not contain \"//\"");
        if (part == "." || part == "..") {
            throw Invalid("a name must not contain \"" + std::string(part) + "\" as a part");
        }
        begin = end + 1;
    }
}

std::string full_name(std::string_view name_space, std::string_view name) {
    require_name(name);
    if (name_space.empty()) return std::string(name);
    try {
        require_name(name_space);
    } catch (const Invalid& e) {
        throw Invalid("NDSHARE_NAMESPACE: " + std::string(e.what()));
    }
    if (name_space.size() > kFullNameBytesMax - kNameBytesMax - 1) {
        throw Invalid("NDSHARE_NAMESPACE has at most 100 bytes");
    }
    return std::string(name_space) + "/" + std::string(name);
}

std::string file_name(std::string_view full_name) {
    std::string out;
    for (std::size_t k = 0; k < full_name.size(); ++k) {
        const char c = full_name[k];
        const bool escape = c == '/' || c == '%' || (k == 0 && (c == '.' || c == '#'));
        if (!escape) {
            out += c;
            continue;
        }
        char code[4];
        std::snprintf(code, sizeof code, "%%%02X", static_cast<unsigned char>(c));
        out += code;
    }
    return out.size() <= kFileNameBytesMax ? out : hashed(full_name);
}

std::string name_of_file(std::string_view file_name) {
    std::string out;
    if (file_name.empty() || file_name[0] == '#' || file_name[0] == '.') return out;
    for (std::size_t k = 0; k < file_name.size(); ++k) {
        if (file_name[k] != '%') {
            out += file_name[k];
            continue;
        }
        if (k + 2 >= file_name.size()) return {};
        const int high = hex_digit(file_name[k + 1]);
        const int low = hex_digit(file_name[k + 2]);
        if (high < 0 || low < 0) return {};
        out += static_cast<char>(high * 16 + low);
        k += 2;
    }
    return out;
}

std::string memfd_name(std::string_view full_name) {
    std::string out(kMemfdPrefix);
    if (out.size() + full_name.size() <= kMemfdNameBytesMax) return out + std::string(full_name);
    return out + hashed(full_name);
}

}  // namespace ndshare::layout
