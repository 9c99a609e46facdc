// Asks a Python worker, see mean_service.py: prints the mean of a few images.
//
//   mean_client NAME
#include <ndshare/ndshare.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>

int main(int argc, char** argv) {
    using namespace std::chrono_literals;
    if (argc != 2) {
        std::cerr << "usage: mean_client NAME\n";
        return 2;
    }
    try {
        ndshare::Client mean(argv[1]);
        for (std::uint8_t gray = 0; gray < 5; ++gray) {
            // A slot of the service's memory, filled in place; the worker reads it there.
            ndshare::Call call = mean.loan(60s);
            const auto image = call.input<std::uint8_t, 2>().span();
            std::fill(image.begin(), image.end(), gray);
            call.submit(60s);
            const ndshare::Frame answer = call.result();
            std::cout << int{gray} << ": " << answer.value<double>("mean") << '\n';
        }
        // What the worker raises comes here, with its traceback.
        ndshare::Call call = mean.loan(60s);
        const auto image = call.input<std::uint8_t, 2>().span();
        std::fill(image.begin(), image.end(), std::uint8_t{255});
        call.submit(60s);
        std::cout << (call.wait() == ndshare::Outcome::remote_error ? "refused" : "answered")
                  << '\n';
    } catch (const ndshare::Error& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
    return 0;
}
