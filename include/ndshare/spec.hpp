// ndshare/spec.hpp: dtype + shape + order, and how a C++ type names its dtype.
#pragma once
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace ndshare {

// A NumPy dtype by its own description: "<f4", "|u1", "<M8[ns]", "[('q', '<f8', (7,)), ...]". A
// value; cheap to copy; compares by meaning.
class Dtype {
 public:
    Dtype() = default;
    explicit(false) Dtype(std::string_view numpy)
        : descr_(numpy) {}  // checked when used: Error(invalid_argument) names the text
    explicit(false) Dtype(const char* numpy) : descr_(numpy) {}
    template <class T>
    static Dtype of();  // Dtype::of<float>(), Dtype::of<State>()
    const std::string& str() const noexcept { return descr_; }
    friend bool operator==(const Dtype& a,
                           const Dtype& b);  // by meaning: "f4" == "<f4" on a little-endian machine
 private:
    std::string descr_;
};

// The one customisation point: a dtype for a type. Scalars are here; NDSHARE_STRUCT adds records;
// specialise it for bfloat16 and friends.
template <class T>
struct dtype_of;
namespace detail {
template <class T>
std::string scalar_descr(char kind) {
    return {sizeof(T) == 1 ? '|' : (std::endian::native == std::endian::little ? '<' : '>'), kind,
            static_cast<char>('0' + sizeof(T) % 10)};
}
}  // namespace detail
template <>
struct dtype_of<bool> {
    static std::string descr() { return "|b1"; }
};
template <>
struct dtype_of<std::byte> {
    static std::string descr() { return "|u1"; }
};
template <class T>
    requires std::is_integral_v<T>
struct dtype_of<T> {
    static std::string descr() { return detail::scalar_descr<T>(std::is_signed_v<T> ? 'i' : 'u'); }
};
template <class T>
    requires(std::is_same_v<T, float> || std::is_same_v<T, double>)
struct dtype_of<T> {
    static std::string descr() { return detail::scalar_descr<T>('f'); }
};

template <class T>
concept Element =
    std::is_trivially_copyable_v<T> && requires { dtype_of<std::remove_const_t<T>>::descr(); };
template <class T>
Dtype Dtype::of() {
    return Dtype(dtype_of<std::remove_const_t<T>>::descr());
}

using Shape = std::vector<std::int64_t>;
enum class Order : std::uint8_t { c, fortran };

// Spec{.shape = {1080, 1920, 3}, .dtype = "u1"}; exactly one of shape and maxshape (each frame its
// own shape, up to this).
struct Spec {
    Shape shape{};
    Dtype dtype = Dtype::of<double>();
    Order order = Order::c;
    Shape maxshape{};
    bool aligned =
        false;  // numpy.dtype(..., align=True): NumPy's hint, without effect on the bytes
};
using Fields = std::vector<std::pair<std::string, Spec>>;  // in declared order; one: named ""
std::string to_string(const Spec& spec);                   // "shape (5, 5), dtype <f8"

// ---- records ------------------------------------------------------------------------------------
namespace detail {
// Names of scalars stand in quotes, nested records as they are.
inline std::string format_of(const std::string& descr) {
    return descr.starts_with('[') ? descr : "'" + descr + "'";
}
template <class T>
struct member {
    static std::string descr(const char* n) {
        return std::string("('") + n + "', " + format_of(dtype_of<T>::descr()) + ")";
    }
};
template <class T, std::size_t N>
struct member<T[N]> {
    static std::string descr(const char* n) {
        return std::string("('") + n + "', " + format_of(dtype_of<T>::descr()) + ", (" +
               std::to_string(N) + ",))";
    }
};
template <class T, std::size_t N>
struct member<std::array<T, N>> : member<T[N]> {};
struct Record {  // fills gaps with unnamed void fields, as numpy.dtype(align=True).descr
    std::string text = "[";
    std::size_t at = 0;
    bool first = true;
    void pad(std::size_t to) {
        if (to > at) add("('', '|V" + std::to_string(to - at) + "')"), at = to;
    }
    void add(const std::string& item) {
        text += (first ? "" : ", ") + item;
        first = false;
    }
    template <class T>
    void field(const char* name, std::size_t offset) {
        pad(offset);
        add(member<T>::descr(name));
        at = offset + sizeof(T);
    }
    std::string done(std::size_t size) {
        pad(size);
        return text + "]";
    }
};
}  // namespace detail
#define NDSHARE_PARENS ()
#define NDSHARE_EXPAND(...) NDSHARE_EXPAND3(NDSHARE_EXPAND3(NDSHARE_EXPAND3(__VA_ARGS__)))
#define NDSHARE_EXPAND3(...) NDSHARE_EXPAND2(NDSHARE_EXPAND2(NDSHARE_EXPAND2(__VA_ARGS__)))
#define NDSHARE_EXPAND2(...) NDSHARE_EXPAND1(NDSHARE_EXPAND1(NDSHARE_EXPAND1(__VA_ARGS__)))
#define NDSHARE_EXPAND1(...) __VA_ARGS__
#define NDSHARE_EACH(T, ...) __VA_OPT__(NDSHARE_EXPAND(NDSHARE_EACH_(T, __VA_ARGS__)))
#define NDSHARE_EACH_(T, f, ...)                 \
    r.field<decltype(T::f)>(#f, offsetof(T, f)); \
    __VA_OPT__(NDSHARE_AGAIN NDSHARE_PARENS(T, __VA_ARGS__))
#define NDSHARE_AGAIN() NDSHARE_EACH_
// At namespace scope, members in declaration order: NDSHARE_STRUCT(State, q, dq, tau, stamp_ns,
// mode)
#define NDSHARE_STRUCT(T, ...)                                                          \
    template <>                                                                         \
    struct ndshare::dtype_of<T> {                                                       \
        static_assert(std::is_trivially_copyable_v<T> && std::is_standard_layout_v<T>); \
        static std::string descr() {                                                    \
            ndshare::detail::Record r;                                                  \
            NDSHARE_EACH(T, __VA_ARGS__) return r.done(sizeof(T));                      \
        }                                                                               \
    };
}  // namespace ndshare
