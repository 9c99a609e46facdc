// ndshare/error.hpp: everything that goes wrong is one exception type with a code, as
// std::filesystem does it. Expected outcomes ("nothing new in time") are values: std::optional,
// bool. There is no std::expected in g++ 12.
#pragma once
#include <cstdint>
#include <string>
#include <system_error>

namespace ndshare {

enum class Errc {
    not_found = 1,
    exists,
    forbidden,
    spec_mismatch,
    corrupt,
    incomplete_write,
    replaced,
    overwritten,
    end_of_stream,
    timeout,
    out_of_memory,
    no_worker,
    worker_died,
    remote,
    closed,
    invalid_argument
};
const std::error_category& error_category() noexcept;
inline std::error_code make_error_code(Errc e) noexcept {
    return {static_cast<int>(e), error_category()};
}

// what(): `[open] "cam/front": ...` with the remedy.
// `catch (const Error& e) { if (e.code() == Errc::spec_mismatch) ...`
// A failed system call that is none of the above carries its errno in std::generic_category().
class Error : public std::system_error {
 public:
    Error(std::error_code code, std::string operation, std::string name, const std::string& text);
    Error(Errc code, std::string operation, std::string name, const std::string& text)
        : Error(make_error_code(code), std::move(operation), std::move(name), text) {}
    const char* what() const noexcept override { return what_.c_str(); }
    const std::string& operation() const noexcept { return operation_; }
    const std::string& name() const noexcept { return name_; }

 private:
    std::string operation_, name_, what_;
};

}  // namespace ndshare
template <>
struct std::is_error_code_enum<ndshare::Errc> : std::true_type {};
