// The camera of camera_cpp.py: publishes pictures that are made in their slots.
//
//   camera_cpp NAME SUBSCRIBERS
#include <ndshare/ndshare.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>

namespace {

constexpr int kPictures = 10;

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::cerr << "usage: camera_cpp NAME SUBSCRIBERS\n";
        return 2;
    }
    try {
        // block: here every picture counts. A real camera would rather lose the oldest, which is
        // the default, than wait for a slow reader.
        ndshare::Publisher camera(argv[1], {.shape = {4, 6},
                                            .dtype = "u1",
                                            .slots = 4,
                                            .overflow = ndshare::Overflow::block,
                                            .attrs_json = R"({"format": "gray"})"});
        // Nobody has to be there; this one wants all to see its first picture.
        camera.wait_subscribers(std::atoi(argv[2]), std::chrono::seconds(60));
        for (int k = 0; k < kPictures; ++k) {
            ndshare::Loan loan = camera.loan();
            // A driver would write here: no picture of our own is copied into shared memory.
            const auto pixels = loan.view<std::uint8_t, 2>().span();
            std::fill(pixels.begin(), pixels.end(), static_cast<std::uint8_t>(k));
            loan.publish();
        }
        // Says that there will be no more. Without it our end would be a pause: the readers would
        // wait for the next camera of this name.
        camera.end();
    } catch (const ndshare::Error& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
    return 0;
}
