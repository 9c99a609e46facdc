#include "ndshare/error.hpp"

#include <cerrno>
#include <new>

#include "api/operation.h"

namespace ndshare {
namespace {

class Category final : public std::error_category {
 public:
    const char* name() const noexcept override { return "ndshare"; }
    std::string message(int code) const override {
        switch (static_cast<Errc>(code)) {
            case Errc::not_found:
                return "not found";
            case Errc::exists:
                return "exists";
            case Errc::forbidden:
                return "forbidden";
            case Errc::spec_mismatch:
                return "spec mismatch";
            case Errc::corrupt:
                return "corrupt";
            case Errc::incomplete_write:
                return "incomplete write";
            case Errc::replaced:
                return "replaced";
            case Errc::overwritten:
                return "overwritten";
            case Errc::end_of_stream:
                return "end of stream";
            case Errc::timeout:
                return "timed out";
            case Errc::out_of_memory:
                return "out of memory";
            case Errc::no_worker:
                return "no worker";
            case Errc::worker_died:
                return "worker died";
            case Errc::remote:
                return "remote error";
            case Errc::closed:
                return "closed";
            case Errc::invalid_argument:
                return "invalid argument";
        }
        return "unknown";
    }
};

// what() is a C string: a NUL in a refused name would end it.
std::string printable(const std::string& text) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte != 0x7f) {
            out += c;
        } else {
            out += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
        }
    }
    return out;
}

}  // namespace

const std::error_category& error_category() noexcept {
    static const Category category;
    return category;
}

Error::Error(std::error_code code, std::string operation, std::string name, const std::string& text)
    : std::system_error(code),
      operation_(std::move(operation)),
      name_(std::move(name)),
      what_("[" + operation_ + "] \"" + printable(name_) + "\": " + text) {}

namespace api {
namespace {

[[noreturn]] void throw_system(const SystemError& e, const std::string& operation,
                               const std::string& name) {
    const std::string text = e.what();
    switch (e.error) {
        case EACCES:
        case EPERM:
            throw Error(Errc::forbidden, operation, name,
                        text +
                            "; check who owns it, or set NDSHARE_DIR and NDSHARE_ROOT to "
                            "folders of your own");
        case EROFS:
            throw Error(Errc::forbidden, operation, name,
                        text +
                            "; set NDSHARE_DIR (names) and NDSHARE_ROOT (persistent arrays) to "
                            "folders that can be written");
        case ENOSPC:
        case EDQUOT:
            throw Error(Errc::out_of_memory, operation, name,
                        text +
                            "; free space or inodes of the file system under NDSHARE_DIR (names) "
                            "or NDSHARE_ROOT (persistent arrays), or set it to another folder");
        case ENOMEM:
            throw Error(Errc::out_of_memory, operation, name,
                        text + "; free memory, or raise the limit");
        case EMFILE:
        case ENFILE:
            throw Error(std::error_code(e.error, std::generic_category()), operation, name,
                        text +
                            "; each open array holds one descriptor: close some or raise the "
                            "limit (ulimit -n)");
        default:
            throw Error(std::error_code(e.error, std::generic_category()), operation, name, text);
    }
}

}  // namespace

void rethrow_named(const char* operation, std::string_view name_view) {
    const std::string name(name_view);
    try {
        throw;
    } catch (const Error&) {
        throw;
    } catch (const Invalid& e) {
        throw Error(Errc::invalid_argument, operation, name, e.what());
    } catch (const Refused& e) {
        throw Error(Errc::forbidden, operation, name, e.what());
    } catch (const TimedOut& e) {
        throw Error(Errc::timeout, operation, name, e.what());
    } catch (const NoRoom& e) {
        throw Error(Errc::out_of_memory, operation, name, e.what());
    } catch (const CorruptBytes& e) {
        throw Error(Errc::corrupt, operation, name,
                    std::string(e.what()) + "; ndshare.unlink removes the name");
    } catch (const SystemError& e) {
        throw_system(e, operation, name);
    } catch (const std::bad_alloc&) {
        throw Error(Errc::out_of_memory, operation, name,
                    "this process gets no more memory; free some, or raise its limit (ulimit -v)");
    }
}

}  // namespace api
}  // namespace ndshare
