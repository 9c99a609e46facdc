// The reader of scan_cpp.py: prints the mean of every scan until the scanner ends its stream.
//
//   scan_mean NAME
#include <ndshare/ndshare.hpp>

#include <iostream>
#include <numeric>

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: scan_mean NAME\n";
        return 2;
    }
    try {
        ndshare::Subscriber scans(argv[1]);
        // The loop gives each frame back before it waits for the next one, and ends with the
        // stream. A copy of `scan` would pin its slot for longer; it costs one increment.
        for (const ndshare::Frame& scan : scans) {
            // dtype and rank are checked here; each scan has as many points as it has.
            const auto points = scan.view<const float, 1>().span();
            const double sum = std::accumulate(points.begin(), points.end(), 0.0);
            std::cout << points.size() << " points, mean "
                      << sum / static_cast<double>(points.size()) << '\n';
        }
    } catch (const ndshare::Error& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
    return 0;
}
