// dtype and spec as a C++ user says them.
#include "ndshare/spec.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

#include "layout/dtype.h"

namespace {

struct State {
    double q[7];
    std::array<float, 3> tau;
    std::uint8_t mode;
    std::int64_t stamp_ns;
};
struct Point {
    float x, y;
};
struct Nested {
    std::uint16_t kind;
    Point from;
    Point path[2];
};
struct One {
    bool yes;
};

}  // namespace

NDSHARE_STRUCT(State, q, tau, mode, stamp_ns)
NDSHARE_STRUCT(Point, x, y)
NDSHARE_STRUCT(Nested, kind, from, path)
NDSHARE_STRUCT(One, yes)

namespace ndshare {
namespace {

TEST(Dtype, is_equal_by_meaning) {
    EXPECT_EQ(Dtype("f4"), Dtype("<f4"));
    EXPECT_EQ(Dtype("float32"), Dtype("=f4"));
    EXPECT_EQ(Dtype("[('a','f4')]"), Dtype("[('a', '<f4')]"));
    EXPECT_EQ(Dtype(">u1"), Dtype("|u1"));
    EXPECT_NE(Dtype("<f4"), Dtype(">f4"));
    EXPECT_NE(Dtype("f4"), Dtype("f8"));
    EXPECT_NE(Dtype("[('a', '<f4')]"), Dtype("[('b', '<f4')]"));
    EXPECT_NE(Dtype("bfloat16"), Dtype("V2"));
}

TEST(Dtype, that_is_none_is_equal_to_itself_only) {
    EXPECT_EQ(Dtype("nonsense"), Dtype("nonsense"));
    EXPECT_NE(Dtype("nonsense"), Dtype("other nonsense"));
    EXPECT_NE(Dtype(""), Dtype("f4"));
}

TEST(Dtype, of_a_scalar_type_is_numpys) {
    EXPECT_EQ(Dtype::of<float>().str(), "<f4");
    EXPECT_EQ(Dtype::of<double>().str(), "<f8");
    EXPECT_EQ(Dtype::of<bool>().str(), "|b1");
    EXPECT_EQ(Dtype::of<std::byte>().str(), "|u1");
    EXPECT_EQ(Dtype::of<std::int8_t>().str(), "|i1");
    EXPECT_EQ(Dtype::of<std::uint8_t>().str(), "|u1");
    EXPECT_EQ(Dtype::of<std::int16_t>().str(), "<i2");
    EXPECT_EQ(Dtype::of<std::uint32_t>().str(), "<u4");
    EXPECT_EQ(Dtype::of<std::int64_t>().str(), "<i8");
    EXPECT_EQ(Dtype::of<const double>().str(), "<f8");
}

TEST(Dtype, of_a_record_has_its_gaps_as_numpy_shows_them) {
    EXPECT_EQ(Dtype::of<State>().str(),
              "[('q', '<f8', (7,)), ('tau', '<f4', (3,)), ('mode', '|u1'), ('', '|V3'), "
              "('stamp_ns', '<i8')]");
    EXPECT_EQ(Dtype::of<Point>().str(), "[('x', '<f4'), ('y', '<f4')]");
    EXPECT_EQ(Dtype::of<One>().str(), "[('yes', '|b1')]");
}

TEST(Dtype, of_a_record_has_the_records_size) {
    EXPECT_EQ(layout::parse_dtype(Dtype::of<State>().str()).itemsize, sizeof(State));
    EXPECT_EQ(layout::parse_dtype(Dtype::of<Point>().str()).itemsize, sizeof(Point));
}

TEST(Dtype, of_a_record_in_a_record_is_a_record) {
    EXPECT_EQ(Dtype::of<Nested>().str(),
              "[('kind', '<u2'), ('', '|V2'), ('from', [('x', '<f4'), ('y', '<f4')]), "
              "('path', [('x', '<f4'), ('y', '<f4')], (2,))]");
    EXPECT_EQ(layout::parse_dtype(Dtype::of<Nested>().str()).itemsize, sizeof(Nested));
}

TEST(Spec, is_shown_as_python_shows_it) {
    EXPECT_EQ(to_string(Spec{.shape = {5, 5}}), "shape (5, 5), dtype <f8");
    EXPECT_EQ(to_string(Spec{.shape = {5}, .dtype = "f4"}), "shape (5,), dtype <f4");
    EXPECT_EQ(to_string(Spec{.dtype = "u1"}), "shape (), dtype |u1");
    EXPECT_EQ(to_string(Spec{.shape = {2, 2}, .dtype = "u1", .order = Order::fortran}),
              "shape (2, 2), dtype |u1, Fortran order");
    EXPECT_EQ(to_string(Spec{.shape = {1}, .dtype = "nonsense"}), "shape (1,), dtype nonsense");
}

}  // namespace
}  // namespace ndshare
