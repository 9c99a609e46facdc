// api/places.h: the two folders behind a name: the book of links and the root of files. Where they
// are, who may use them, and making them; what a name in them leads to is book.h's.
// Threads: any. Processes: any. Blocks: no longer than the file system does.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "platform/fd.h"

namespace ndshare::api {

inline constexpr const char* kLockFile = ".lock";
// One for each hash of a name.
inline constexpr std::uint64_t kLockBytes = std::uint64_t{1} << 20;
inline constexpr std::string_view kFileSuffix = ".npy";

// The book's folder, kept open between calls; another one when NDSHARE_DIR changed or (looked at
// with check_deleted) it was deleted. nullptr: there is none and none is wanted, or /proc cannot
// serve one. Errors: Refused, SystemError.
std::shared_ptr<platform::Fd> book(bool make, bool check_deleted);
std::shared_ptr<platform::Fd> book_to_look_in();
bool is_deleted(const platform::Fd& folder);

struct Root {
    platform::Fd folder;
    std::string path;
};
// nullopt: there is none and none is wanted.
std::optional<Root> open_root(bool make);
std::string persistent_file_name(const std::string& full_name);

// Whoever makes a book links what lives, since an old one may have been deleted. In book.cpp.
void fill_new_book(const platform::Fd& folder);

}  // namespace ndshare::api
