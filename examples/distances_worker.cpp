// A worker in C++: the distance of each point to the origin. Python asks, see distances.py.
//
//   distances_worker NAME       until it is ended by a signal
#include <ndshare/ndshare.hpp>

#include <cmath>
#include <iostream>

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: distances_worker NAME\n";
        return 2;
    }
    try {
        ndshare::Worker worker(
            argv[1], {{"points", {.shape = {3}, .dtype = ndshare::Dtype::of<double>()}}},
            {{"distance", {.shape = {}, .dtype = ndshare::Dtype::of<double>()}}});
        // Calls that wait lie side by side: one array with a leading axis, nothing is copied.
        worker.run(
            [](ndshare::Batch& batch) {
                const auto points = batch.input<const double, 2>();
                const auto distances = batch.output<double, 1>();
                for (std::size_t k = 0; k < batch.size(); ++k) {
                    distances(k) = std::hypot(points(k, 0), points(k, 1), points(k, 2));
                }
            },
            {.max_batch_size = 8});
    } catch (const ndshare::Error& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
    return 0;
}
