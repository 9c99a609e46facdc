// A user's program: one array, written and read through the installed headers and library.
#include <ndshare/ndshare.hpp>

#include <iostream>

int main(int argc, char** argv) {
    const std::string name = argc > 1 ? argv[1] : "consumer";
    auto array = ndshare::Array::create(name, {.shape = {3}, .dtype = "f4"});
    const float values[] = {1, 2, 3};
    array.assign(std::span<const float>(values));
    const auto again = ndshare::Array::open(name);
    const bool good = again.view<const float, 1>()(2) == 3 && again.version() == 1;
    std::cout << (good ? "consumer: ok" : "consumer: wrong contents") << std::endl;
    return good ? 0 : 1;
}
