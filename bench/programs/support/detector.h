// support/detector.h: the model of the service rows; bench/payload.py says the same in Python.
//
// An image says in six of its bytes who asks and what: the first, the last and four between. The
// answer is 20 rows of those six.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "ndshare/ndshare.hpp"
#include "support/pair.h"

namespace bench {

inline constexpr std::size_t kBoxRows = 20, kBoxColumns = 6, kBoxValues = kBoxRows * kBoxColumns;
using Boxes = std::array<float, kBoxValues>;
using Stamp = std::array<std::uint8_t, kBoxColumns>;
using Image = std::vector<std::uint8_t>;

inline std::size_t place(std::size_t column, std::size_t nbytes) {
    return column * (nbytes - 1) / (kBoxColumns - 1);
}

inline Image make_image(std::size_t nbytes) {
    Image image(nbytes);
    for (std::size_t i = 0; i < nbytes; ++i) image[i] = static_cast<std::uint8_t>(i * 7 % 251);
    return image;
}

// Of the only client's call of this number.
inline Stamp stamp_of(std::int64_t number) {
    Stamp stamp{};
    for (std::size_t i = 0; i < 4; ++i) {
        stamp[i] = static_cast<std::uint8_t>(number >> (8 * i));
        stamp[5] = static_cast<std::uint8_t>(stamp[5] - stamp[i]);
    }
    return stamp;
}

inline void write_stamp(const Stamp& stamp, std::uint8_t* image, std::size_t nbytes) {
    for (std::size_t i = 0; i < kBoxColumns; ++i) image[place(i, nbytes)] = stamp[i];
}

inline Boxes boxes_of(const Stamp& stamp) {
    Boxes boxes;
    for (std::size_t k = 0; k < kBoxValues; ++k) boxes[k] = stamp[k % kBoxColumns];
    return boxes;
}

inline void detect(const std::uint8_t* image, std::size_t nbytes, float* boxes) {
    Stamp stamp;
    for (std::size_t i = 0; i < kBoxColumns; ++i) stamp[i] = image[place(i, nbytes)];
    const Boxes found = boxes_of(stamp);
    std::copy(found.begin(), found.end(), boxes);
}

inline std::uint64_t sum_of(const Boxes& boxes) {
    std::uint64_t sum = 0;
    for (const float value : boxes) sum += static_cast<std::uint64_t>(value);
    return sum;
}

inline ndshare::Shape image_shape(std::size_t nbytes) {
    switch (nbytes) {
        case 480:
            return {480};
        case 320 * 320 * 3:
            return {320, 320, 3};
        case 1080 * 1920 * 3:
            return {1080, 1920, 3};
        default:
            throw std::invalid_argument("--bytes takes 480, 307200 or 6220800");
    }
}

inline std::size_t image_nbytes(const Side& side) {
    return static_cast<std::size_t>(side.options().number("--bytes", 320 * 320 * 3));
}

inline ndshare::Worker make_worker(const Side& side, int slots, ndshare::Timeout spin) {
    ndshare::WorkerOptions wishes;
    wishes.slots = slots;
    wishes.spin = spin;
    const ndshare::Fields inputs{
        {"image",
         {.shape = image_shape(image_nbytes(side)), .dtype = ndshare::Dtype::of<std::uint8_t>()}}};
    const ndshare::Fields outputs{
        {"boxes", {.shape = {kBoxRows, kBoxColumns}, .dtype = ndshare::Dtype::of<float>()}}};
    return ndshare::Worker(side.name("service"), inputs, outputs, wishes);
}

// Answers all calls of a batch.
inline void answer(ndshare::Batch batch, std::size_t nbytes) {
    const auto* images = reinterpret_cast<const std::uint8_t*>(batch.input_at(0).data);
    float* boxes = batch.output<float, 3>("boxes").span().data();
    for (std::size_t k = 0; k < batch.size(); ++k) {
        detect(images + k * nbytes, nbytes, boxes + k * kBoxValues);
    }
    batch.reply();
}

}  // namespace bench
